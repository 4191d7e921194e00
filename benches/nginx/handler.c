/* A module of nginx for handler.py: measures with the time stamp counter how long the handlers of
 * all modules take that run when a request has been answered.
 *
 * It is loaded last, and puts one handler of its own around those that it finds. The directive
 * `handler_times` has a location answer with what all workers have measured: a line for each
 * duration, with the cycles and how many requests took so long. */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <sys/mman.h>
#include <x86intrin.h>

#define SLOTS 16384
#define WIDTH 4 /* cycles; the last slot has all longer ones */

static ngx_http_handler_pt handlers[64];
static ngx_uint_t handler_count;
static ngx_atomic_t *slots; /* of all workers */

static ngx_int_t measure(ngx_http_request_t *r) {
    uint64_t start = __rdtsc();
    ngx_uint_t i, slot;
    for (i = 0; i < handler_count; i++) (void)handlers[i](r);
    slot = (__rdtsc() - start) / WIDTH;
    (void)ngx_atomic_fetch_add(&slots[ngx_min(slot, SLOTS - 1)], 1);
    return NGX_OK;
}

static ngx_int_t answer(ngx_http_request_t *r) {
    static ngx_str_t type = ngx_string("text/plain");
    ngx_http_complex_value_t body;
    u_char *end;
    ngx_uint_t i;
    ngx_memzero(&body, sizeof body);
    body.value.data = end = ngx_pnalloc(r->pool, SLOTS * 2 * (NGX_ATOMIC_T_LEN + 1));
    if (end == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    for (i = 0; i < SLOTS; i++)
        if (slots[i]) end = ngx_sprintf(end, "%ui %uA\n", i * WIDTH, slots[i]);
    ngx_memzero((void *)slots, SLOTS * sizeof *slots); /* each answer begins anew */
    body.value.len = (size_t)(end - body.value.data);
    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &body);
}

static char *handler_times(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    (void)cmd;
    (void)data;
    core->handler = answer;
    return NGX_CONF_OK;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_array_t *found = &core->phases[NGX_HTTP_LOG_PHASE].handlers;
    if (found->nelts > sizeof handlers / sizeof *handlers) return NGX_ERROR;
    handler_count = found->nelts;
    ngx_memcpy(handlers, found->elts, found->nelts * sizeof *handlers);
    found->nelts = 0;
    *(ngx_http_handler_pt *)ngx_array_push(found) = measure;
    if (slots == NULL)
        slots = mmap(NULL, SLOTS * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return slots == MAP_FAILED ? NGX_ERROR : NGX_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("handler_times"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, handler_times, 0, 0, NULL},
    ngx_null_command,
};

static ngx_http_module_t context = {NULL, postconfiguration, NULL, NULL, NULL, NULL, NULL, NULL};

ngx_module_t ngx_http_handler_times_module = {NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

/* What nginx' ./configure writes for a module. */
ngx_module_t *ngx_modules[] = {&ngx_http_handler_times_module, NULL};
char *ngx_module_names[] = {"ngx_http_handler_times_module", NULL};
char *ngx_module_order[] = {NULL};
