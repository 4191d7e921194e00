/* The application: what each path answers. The Rust worker has the same table in
 * rust/src/routes.rs. */
#ifndef PREFORK_ROUTES_H
#define PREFORK_ROUTES_H

#ifdef __cplusplus
extern "C" {
#endif

struct route {
    const char *method;
    const char *path;
    const char *status; /* three digits and the phrase */
    const char *body;   /* NULL: the request's own */
    unsigned work_ms;   /* time taken before there is an answer */
    unsigned pause_ms;  /* time taken between the answer's two halves */
};

/* Never NULL. What is in no table gets the last route, labelled "other": a label must not hold
 * what a client typed, or any client can make series without end. */
const struct route *route_find(const char *method, const char *path);

#ifdef __cplusplus
}
#endif
#endif
