/* shmetrics 0.1.0: Prometheus metrics for prefork servers, in one shared-memory segment.
 *
 * Generated from src/capi by `make header`; do not edit. For C99 and later, and for C++.
 *
 * Manual
 *
 * Handles      Families, counters, gauges, histograms and states are structs of private words.
 *              Copy them freely, and never free them. They are valid for the life of the process,
 *              in every thread, in signal handlers and after fork. A zero-initialised handle is
 *              inert: no call on it does anything.
 * Ownership    Readers, cursors and points are freed, each by its own call. Segments stay mapped
 *              for the life of the process.
 * Structs      A struct that begins with struct_size may get fields at its end in later versions.
 *              SHMETRICS_FAMILY_SPEC and shmetrics_options_init set the size. Set all bytes of a
 *              struct that you do not use to zero.
 * Strings      Strings have a length and need not end in NUL. They are UTF-8, and a call reads them
 *              only until it returns. SHMETRICS_STR("literal") and shmetrics_cstr make them.
 * Times        Times are doubles, in seconds. The names of the fields end in _seconds.
 * Pages        A page is read as bytes (shmetrics_..._render, shmetrics_cursor_read) or as values
 *              (shmetrics_cursor_points, then shmetrics_points_next for each series). A cursor
 *              holds a bounded part of the page.
 * FFIs         Most calls take handles by value. For a foreign-function interface that cannot pass
 *              structs there are calls that end in _p, which take the address of a handle.
 * Label sets   A look-up (shmetrics_..._with) never fails. It makes the series of a label set at
 *              the first use. Without room, or beyond a limit, it returns the overflow series of
 *              the family, which pages show with the label shmetrics_overflow="true". With a wrong
 *              number of values it returns an inert handle, and shmetrics_updates_rejected_total
 *              counts the look-up. In an inert family it returns an inert handle and counts
 *              nothing. Bytes that are not UTF-8 become U+FFFD. Label names in another order are
 *              the same family: each process gives the values in the order of its own names. A
 *              look-up takes two to three times as long if this is not the order of the process
 *              that made the family. If the values are known beforehand, keep the handle.
 * Bundles      A bundle is several metrics with the same labels. One look-up
 *              (shmetrics_bundle_with) finds the series of all of them, which share a record. The
 *              entry that it gives is a handle too: shmetrics_entry_add_u64, _add, _set and
 *              _observe update a member by its number, and shmetrics_entry_update several members
 *              in less time than a call for each. shmetrics_entry_counter, _gauge, _histogram and
 *              _states give the member's own handle. Pages show the members as any families.
 *              Removal, expiry and limits act on label sets, for all members at once.
 * Removing     shmetrics_..._remove takes a label set off every page and every look-up, for all
 * label sets   processes, from that instant. A look-up of the same values makes a new series, from
 *              0. Handles of the removed series are safe for ever: their updates do nothing, and
 *              are counted in shmetrics_stale_updates_total. They never change another series,
 *              even if another series uses the memory by now. So do not keep handles of label sets
 *              that may be removed: look them up.
 * Errors       Calls that can fail return a shmetrics_status. They write their outputs, which are
 *              their last parameters, only on success. shmetrics_last_error gives the detail.
 *              Updates return nothing and cannot fail.
 * Pointers     A pointer is NULL, or came from this library and was not freed. Outputs can be
 *              written, and strings and arrays are as long as they say. Every pointer is checked
 *              for NULL. Where a value is needed, NULL is SHMETRICS_STATUS_NULL_ARGUMENT.
 * Threads      Every call may be made from any thread at any time. Only one thread at a time may
 *              use a cursor or points.
 * Fork         A process may fork before and after it opens a segment, from any thread and by any
 *              means. A child counts through the handles of its parent. Per-process gauges notice
 *              the fork by themselves. exec loses the mapping: open the segment again. A vfork
 *              child shares the memory of its parent and counts as its parent.
 * Signals      Updates of counters and histograms are async-signal-safe, and so are updates of
 *              gauges, except the first update of a per-process gauge in each process.
 * Cancellation No call is a cancellation point. A pending cancellation stays pending until the
 *              host's next cancellation point. The thread must have the deferred cancellation type,
 *              which is the default: no call may be cancelled asynchronously.
 * errno        No call changes errno.
 * Memory       Updates and look-ups take no memory of the process, except a first look-up by name,
 *              which registers. A call that returns a status and finds no memory returns
 *              SHMETRICS_STATUS_NO_MEMORY and has done nothing: before it begins, it asks for more
 *              than it needs. The process still ends if another thread takes that memory meanwhile,
 *              if shmetrics_cursor_read or shmetrics_segment_next_warning finds none, or if a
 *              thread fails for the first time in a library that was loaded by dlopen.
 * Death        A process may be killed between any two instructions. Everything that a call has
 *              counted before it returned stays counted, and no process waits for the dead one.
 */


#ifndef SHMETRICS_H
#define SHMETRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMETRICS_VERSION "0.1.0"
#define SHMETRICS_VERSION_MAJOR 0
#define SHMETRICS_VERSION_MINOR 1
#define SHMETRICS_VERSION_PATCH 0
/* For comparisons: major * 10000 + minor * 100 + patch. */
#define SHMETRICS_VERSION_NUMBER 100

/* A shmetrics_str of a string literal. SHMETRICS_STR_INIT initialises static ones. */
#ifdef __cplusplus
#define SHMETRICS_STR(literal) (shmetrics_str{"" literal, sizeof(literal) - 1})
#else
#define SHMETRICS_STR(literal) ((shmetrics_str){"" literal, sizeof(literal) - 1})
#endif
#define SHMETRICS_STR_INIT(literal) {"" literal, sizeof(literal) - 1}

#ifndef __cplusplus
/* A spec with these fields, as in SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("jobs")). */
#define SHMETRICS_FAMILY_SPEC(...) ((shmetrics_family_spec){.struct_size = sizeof(shmetrics_family_spec), __VA_ARGS__})
#endif


/**
 * One value that all processes change.
 */
#define SHMETRICS_GAUGE_SHARED 0

/**
 * One sample for each process, alive or dead, with the label `pid`. The sample of a dead process
 * stays until a new process takes its slot.
 */
#define SHMETRICS_GAUGE_ALL 1

/**
 * One sample for each living process, with the label `pid`.
 */
#define SHMETRICS_GAUGE_LIVEALL 2

/**
 * The sum over all processes, alive or dead.
 */
#define SHMETRICS_GAUGE_SUM 3

/**
 * The sum over living processes, such as requests in progress.
 */
#define SHMETRICS_GAUGE_LIVESUM 4

/**
 * The least value of all processes.
 */
#define SHMETRICS_GAUGE_MIN 5

/**
 * The least value of the living processes.
 */
#define SHMETRICS_GAUGE_LIVEMIN 6

/**
 * The greatest value of all processes.
 */
#define SHMETRICS_GAUGE_MAX 7

/**
 * The greatest value of the living processes.
 */
#define SHMETRICS_GAUGE_LIVEMAX 8

/**
 * The value of the latest `set` by any process.
 */
#define SHMETRICS_GAUGE_MOSTRECENT 9

/**
 * The value of the latest `set` by a process that still lives.
 */
#define SHMETRICS_GAUGE_LIVEMOSTRECENT 10

/**
 * The longest name of a metric, a label or a unit, in bytes.
 */
#define SHMETRICS_MAX_NAME_BYTES 512

/**
 * The longest help text, in bytes.
 */
#define SHMETRICS_MAX_HELP_BYTES 16384

/**
 * The most labels of a family.
 */
#define SHMETRICS_MAX_LABELS 64

/**
 * The most finite bounds of a histogram's buckets.
 */
#define SHMETRICS_MAX_BUCKETS 1024

/**
 * The most quantiles of a summary.
 */
#define SHMETRICS_MAX_QUANTILES 64

/**
 * The most states of a state set or an enum.
 */
#define SHMETRICS_MAX_STATES 64

/**
 * The most members of a bundle.
 */
#define SHMETRICS_MAX_MEMBERS 64

/**
 * The most characters of the names and values of an exemplar's labels together.
 */
#define SHMETRICS_MAX_EXEMPLAR_CHARACTERS 128

/**
 * The longest text of a series' labels in bytes: names, escaped values, and three bytes for each
 * label. A longer one is counted in the family's overflow series.
 */
#define SHMETRICS_MAX_LABEL_TEXT_BYTES 65535

/**
 * The smallest maximum size of a segment, in bytes.
 */
#define SHMETRICS_MIN_SIZE_BYTES 524288

/**
 * The greatest maximum size of a segment, in bytes: 64 GiB.
 */
#define SHMETRICS_MAX_SIZE_BYTES 68719476736

/**
 * The most processes that can have values in a segment's per-process gauges at one time.
 */
#define SHMETRICS_MAX_PROCESSES 32768

/**
 * Attach the segment, or create it if there is none.
 */
#define SHMETRICS_OPEN_OR_CREATE 0

/**
 * Create the segment; fail if there is one.
 */
#define SHMETRICS_CREATE_NEW 1

/**
 * Attach the segment; fail if there is none.
 */
#define SHMETRICS_ATTACH 2

/**
 * Create a segment without a name, for processes forked from this one. Its memory is freed when
 * the last process that has it mapped ends.
 */
#define SHMETRICS_ANONYMOUS 3

/**
 * Hot series get cells for each CPU, written in restartable sequences (`rseq`) where the system
 * has them.
 */
#define SHMETRICS_PER_CPU_DEFAULT 0

/**
 * This process uses no restartable sequences. Per-CPU cells of a segment that it creates are
 * written by locked instructions. In another segment it counts in the shared cells. Pages are the
 * same.
 */
#define SHMETRICS_PER_CPU_LOCKED 1

/**
 * A segment that this process creates has no per-CPU cells. They take up to an eighth of the
 * maximum size.
 */
#define SHMETRICS_PER_CPU_NONE 2

/**
 * `le="1.0"`, as OpenMetrics and Python's client have it; if `$SHMETRICS_LE` is `short`, `le="1"`.
 */
#define SHMETRICS_BOUNDS_DEFAULT 0

/**
 * `le="1.0"`.
 */
#define SHMETRICS_BOUNDS_CANONICAL 1

/**
 * `le="1"`, as Go's client has it. OpenMetrics pages have `le="1.0"` in any case.
 */
#define SHMETRICS_BOUNDS_SHORT 2

/**
 * Adds the whole number `amount.n`: `shmetrics_entry_add_u64`.
 */
#define SHMETRICS_UPDATE_ADD_U64 0

/**
 * Adds `amount.v`: `shmetrics_entry_add`.
 */
#define SHMETRICS_UPDATE_ADD 1

/**
 * Sets to `amount.v`: `shmetrics_entry_set`.
 */
#define SHMETRICS_UPDATE_SET 2

/**
 * Observes `amount.v`: `shmetrics_entry_observe`.
 */
#define SHMETRICS_UPDATE_OBSERVE 3

/**
 * What a call that can fail returns.
 */
typedef enum shmetrics_status {
  /**
   * Done.
   */
  SHMETRICS_STATUS_OK = 0,
  /**
   * A pointer that must not be NULL is.
   */
  SHMETRICS_STATUS_NULL_ARGUMENT,
  /**
   * An argument is out of its range.
   */
  SHMETRICS_STATUS_INVALID_ARGUMENT,
  /**
   * A name or unit that no exposition (or file system) could carry.
   */
  SHMETRICS_STATUS_INVALID_NAME,
  /**
   * No segment has this name.
   */
  SHMETRICS_STATUS_NOT_FOUND,
  /**
   * A segment of this name exists.
   */
  SHMETRICS_STATUS_ALREADY_EXISTS,
  /**
   * The file system refused, or the file is another user's.
   */
  SHMETRICS_STATUS_PERMISSION,
  /**
   * The directory is not on a memory file system.
   */
  SHMETRICS_STATUS_NOT_TMPFS,
  /**
   * The file is no shmetrics segment, or a damaged one.
   */
  SHMETRICS_STATUS_NOT_A_SEGMENT,
  /**
   * The segment has a layout this library does not read.
   */
  SHMETRICS_STATUS_WRONG_VERSION,
  /**
   * The memory file system (or a resource limit) has no room.
   */
  SHMETRICS_STATUS_NO_SPACE,
  /**
   * The segment has reached its maximum size, or another limit of the segment.
   */
  SHMETRICS_STATUS_FULL,
  /**
   * A family of this name is registered otherwise, or names clash.
   */
  SHMETRICS_STATUS_CONFLICT,
  /**
   * This machine cannot do it.
   */
  SHMETRICS_STATUS_UNSUPPORTED,
  /**
   * The system refused a call for another reason.
   */
  SHMETRICS_STATUS_SYSTEM,
  /**
   * A defect of the library, caught at its border.
   */
  SHMETRICS_STATUS_PANIC,
  /**
   * The process has no memory for the call. The call has done nothing.
   */
  SHMETRICS_STATUS_NO_MEMORY,
  /**
   * The caller's buffer is too small.
   */
  SHMETRICS_STATUS_BUFFER_TOO_SMALL,
} shmetrics_status;

/**
 * An exposition format.
 */
typedef enum shmetrics_format {
  /**
   * Prometheus' text format, version 0.0.4, which every scraper understands.
   */
  SHMETRICS_FORMAT_TEXT = 0,
  /**
   * Prometheus' text format, version 1.0.0: as 0.0.4, with names of any UTF-8.
   */
  SHMETRICS_FORMAT_TEXT1,
  /**
   * OpenMetrics 1.0.0.
   */
  SHMETRICS_FORMAT_OPENMETRICS,
  /**
   * OpenMetrics 2.0.0 of its release candidate: only for scrapers that ask for it.
   */
  SHMETRICS_FORMAT_OPENMETRICS2,
  /**
   * Length-delimited `io.prometheus.client.MetricFamily` messages.
   */
  SHMETRICS_FORMAT_PROTOBUF,
} shmetrics_format;

/**
 * How pages write names that have other characters than letters, digits and `_` (and `:` in names
 * of metrics). All other names stay as they are.
 */
typedef enum shmetrics_escaping {
  /**
   * As underscores; the content type does not name it.
   */
  SHMETRICS_ESCAPING_DEFAULT = 0,
  /**
   * Each such character becomes `_`.
   */
  SHMETRICS_ESCAPING_UNDERSCORES,
  /**
   * In such a name dots become `_dot_`, underscores `__`, and each other such character `__`.
   */
  SHMETRICS_ESCAPING_DOTS,
  /**
   * Such a name begins with `U__`. Underscores in it become `__`, and each such character its
   * code point between underscores.
   */
  SHMETRICS_ESCAPING_VALUES,
  /**
   * The names stay, in quotes. Text 0.0.4 has no quotes, and gets underscores.
   */
  SHMETRICS_ESCAPING_ALLOW_UTF8,
} shmetrics_escaping;

/**
 * A family's type.
 */
typedef enum shmetrics_kind {
  /**
   * A value of unknown type.
   */
  SHMETRICS_KIND_UNKNOWN = 0,
  /**
   * A value that only rises.
   */
  SHMETRICS_KIND_COUNTER,
  /**
   * A value that goes up and down.
   */
  SHMETRICS_KIND_GAUGE,
  /**
   * Observations in buckets.
   */
  SHMETRICS_KIND_HISTOGRAM,
  /**
   * Observations in buckets, which can be taken back.
   */
  SHMETRICS_KIND_GAUGE_HISTOGRAM,
  /**
   * The count and the sum of observations.
   */
  SHMETRICS_KIND_SUMMARY,
  /**
   * Labels that carry information; the value is 1.
   */
  SHMETRICS_KIND_INFO,
  /**
   * States, each on or off.
   */
  SHMETRICS_KIND_STATE_SET,
  /**
   * States, one of them on.
   */
  SHMETRICS_KIND_ENUM,
} shmetrics_kind;

/**
 * A collector that was added to a segment. Never freed.
 */
typedef struct shmetrics_collector shmetrics_collector;

/**
 * A page that is read in pieces. Freed by `shmetrics_cursor_free`.
 */
typedef struct shmetrics_cursor shmetrics_cursor;

/**
 * The series of a page as values. Freed by `shmetrics_points_free`.
 */
typedef struct shmetrics_points shmetrics_points;

/**
 * A read-only view of a segment, for rendering it. Freed by `shmetrics_reader_free`.
 */
typedef struct shmetrics_reader shmetrics_reader;

/**
 * A segment, mapped for the life of the process. Never freed; valid in every thread and after
 * fork.
 */
typedef struct shmetrics_segment shmetrics_segment;

/**
 * A string: bytes and their number. `SHMETRICS_STR("literal")` and `shmetrics_cstr` make one. It
 * need not end in NUL. As a label value, a NULL pointer is the empty string.
 */
typedef struct shmetrics_str {
  /**
   * The first byte.
   */
  const char *data;
  /**
   * The number of bytes.
   */
  size_t len;
} shmetrics_str;

/**
 * The definition of a family. Make one with `SHMETRICS_FAMILY_SPEC(...)`; or set all bytes to
 * zero, then `struct_size`. A field that the type of the family does not have, such as buckets of
 * a counter, is `SHMETRICS_STATUS_INVALID_ARGUMENT`.
 *
 * Two registrations of one name are the same family if they agree in: type, gauge mode, set of
 * label names, unit, `buckets` or `quantiles` or `states`, the native buckets, `exact_name` and
 * `expire_after_seconds`. A difference in any of these is `SHMETRICS_STATUS_CONFLICT`, unless
 * `replace` is set. Help, order of the label names, `max_series` and `exemplar_interval_seconds`
 * do not conflict: those of the registration that made the family are in force.
 */
typedef struct shmetrics_family_spec {
  /**
   * `sizeof(shmetrics_family_spec)` where the program is compiled. Later versions may add fields
   * at the end.
   */
  size_t struct_size;
  /**
   * The name: UTF-8 without control characters, at most `SHMETRICS_MAX_NAME_BYTES`. Other
   * characters than letters, digits, `_` and `:` are escaped for scrapers that do not ask for
   * them. Pages show a counter as `name_total`, whether or not the name ends in `_total`.
   */
  struct shmetrics_str name;
  /**
   * The description; may be empty. At most `SHMETRICS_MAX_HELP_BYTES`.
   */
  struct shmetrics_str help;
  /**
   * The base unit, such as `seconds`, in which the name must end; may be empty.
   */
  struct shmetrics_str unit;
  /**
   * The label names: UTF-8 as the name.
   */
  const struct shmetrics_str *label_names;
  /**
   * The number of label names, at most `SHMETRICS_MAX_LABELS`; 0 for a metric without labels.
   */
  size_t label_count;
  /**
   * The rising upper bounds of a histogram's buckets. The bucket `+Inf` is added. NULL gives
   * Prometheus' default buckets, or no classic ones where there are native buckets.
   */
  const double *buckets;
  /**
   * The number of buckets, at most `SHMETRICS_MAX_BUCKETS`.
   */
  size_t bucket_count;
  /**
   * The names of the states of a state set or an enum.
   */
  const struct shmetrics_str *states;
  /**
   * The number of states, at most `SHMETRICS_MAX_STATES`.
   */
  size_t state_count;
  /**
   * The most series of the family. Further label sets share the overflow series. 0 for no limit.
   */
  uint64_t max_series;
  /**
   * A series that has no update for this many seconds leaves the pages, and after twice as many
   * it is removed. Fractions are rounded up to whole seconds. 0 for never. A metric without
   * labels never expires.
   */
  double expire_after_seconds;
  /**
   * The least time between two exemplars that a counter or a bucket keeps; 0 for one second.
   * Rounded up to milliseconds.
   */
  double exemplar_interval_seconds;
  /**
   * The quantiles of a summary, from 0 to 1, rising: of the observations of all processes in the
   * last ten minutes. Each value is exact to 1.1 %. NULL for none.
   */
  const double *quantiles;
  /**
   * The number of quantiles, at most `SHMETRICS_MAX_QUANTILES`.
   */
  size_t quantile_count;
  /**
   * Gives a histogram native buckets, which need no bounds: each is larger than the one before
   * by at most this factor, such as 1.1. 0 for none. With `buckets`, the histogram has both.
   */
  double native_factor;
  /**
   * Observations at most this far from 0 are counted in the native zero bucket. 0 for 2^-128. A
   * negative number: the bucket is for 0 alone. Only with `native_factor`.
   */
  double native_zero_threshold;
  /**
   * The most native buckets of a series on a page. A series with more is shown in coarser
   * buckets. 0 for 160; UINT32_MAX for no limit. Only with `native_factor`.
   */
  uint32_t native_max_buckets;
  /**
   * Pages in Prometheus' text formats and in protobuf show a counter under this very
   * name, without `_total`, for dashboards and rules that use an exporter's names. OpenMetrics
   * shows it with `_total`.
   */
  bool exact_name;
  /**
   * If a family of this name is registered with another definition, this definition takes its
   * place: for a reload with one more label or bucket. All pages change at the same instant.
   * Updates through handles of the old definition do nothing and are counted. A process of an
   * earlier revision gets `SHMETRICS_STATUS_CONFLICT`: see `shmetrics_options.revision`.
   * Where the definition is the same, `max_series` and `exemplar_interval_seconds` take effect.
   */
  bool replace;
  /**
   * How long an observation counts in quantiles; 0 for ten minutes. The observation leaves them
   * after half of that time to all of it. Only with `quantiles`.
   */
  double quantile_max_age_seconds;
} shmetrics_family_spec;

/**
 * A metric of a bundle.
 */
typedef struct shmetrics_member {
  /**
   * A `shmetrics_kind`.
   */
  uint32_t kind;
  /**
   * A `SHMETRICS_GAUGE_...` if the metric is a gauge; otherwise 0.
   */
  uint32_t mode;
  /**
   * The definition, without label names, `max_series`, `expire_after_seconds` and `replace`:
   * these are the bundle's.
   */
  const struct shmetrics_family_spec *family;
} shmetrics_member;

/**
 * The definition of a bundle. Set all bytes to zero, then `struct_size`. Registrations are the
 * same bundle if they have the same members in the same order, and agree in the set of label names
 * and in `expire_after_seconds`. Any other difference, or a name that is registered by itself or
 * in another bundle, is `SHMETRICS_STATUS_CONFLICT`, unless `replace` is set.
 */
typedef struct shmetrics_bundle_spec {
  /**
   * `sizeof(shmetrics_bundle_spec)` where the program is compiled. Later versions may add fields
   * at the end.
   */
  size_t struct_size;
  /**
   * The label names of all members.
   */
  const struct shmetrics_str *label_names;
  /**
   * The number of label names; 0 for metrics without labels.
   */
  size_t label_count;
  /**
   * The members. Their order gives their numbers, from 0.
   */
  const struct shmetrics_member *members;
  /**
   * The number of members, at least 1, and at most `SHMETRICS_MAX_MEMBERS`.
   */
  size_t member_count;
  /**
   * The most label sets. Further ones share the overflow series. 0 for no limit.
   */
  uint64_t max_series;
  /**
   * A label set of which no series has an update for this many seconds leaves the pages, and
   * after twice as many it is removed. 0 for never.
   */
  double expire_after_seconds;
  /**
   * This definition takes the places of all bundles and families that have the members' names:
   * see `shmetrics_family_spec.replace`.
   */
  bool replace;
} shmetrics_bundle_spec;

/**
 * Metrics with the same labels, whose series are found by one look-up.
 */
typedef struct shmetrics_bundle {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_bundle;

/**
 * The series of one label set of a bundle: a handle, as those of its members.
 */
typedef struct shmetrics_entry {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
  /**
   * Private.
   */
  const void *p2;
} shmetrics_entry;

/**
 * A counter: a value that only rises.
 */
typedef struct shmetrics_counter {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_counter;

/**
 * A gauge: a value that goes up and down.
 */
typedef struct shmetrics_gauge {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_gauge;

/**
 * A histogram: with classic buckets, native ones, or both.
 */
typedef struct shmetrics_histogram {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
  /**
   * Private.
   */
  const void *p2;
} shmetrics_histogram;

/**
 * Several states, each on or off; or an enum, of which one state is on.
 */
typedef struct shmetrics_states {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_states;

/**
 * A collector: adds samples to `cursor` by `shmetrics_cursor_add_sample`. `data` is what the
 * collector was added with. False: what this call has added is left out, which pages of this
 * process count in `shmetrics_collector_failures_total`.
 */
typedef bool (*shmetrics_collect_fn)(struct shmetrics_cursor *cursor, void *data);

/**
 * A label.
 */
typedef struct shmetrics_label {
  /**
   * The name.
   */
  struct shmetrics_str name;
  /**
   * The value.
   */
  struct shmetrics_str value;
} shmetrics_label;

/**
 * A family of counters.
 */
typedef struct shmetrics_counter_family {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_counter_family;

/**
 * A family of gauges.
 */
typedef struct shmetrics_gauge_family {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_gauge_family;

/**
 * A family of histograms.
 */
typedef struct shmetrics_histogram_family {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_histogram_family;

/**
 * A family of summaries.
 */
typedef struct shmetrics_summary_family {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_summary_family;

/**
 * The family of points. Pointers in it are valid until `shmetrics_points_next` gives a point of
 * another family. Later versions may add fields at the end.
 */
typedef struct shmetrics_point_family {
  /**
   * Its name as it was registered, without a counter's `_total` or an info's `_info`.
   */
  struct shmetrics_str name;
  /**
   * Its help text.
   */
  struct shmetrics_str help;
  /**
   * Its unit; may be empty.
   */
  struct shmetrics_str unit;
  /**
   * A histogram's finite bounds, each the upper one of its bucket.
   */
  const double *bounds;
  /**
   * The number of them.
   */
  size_t bound_count;
  /**
   * The states of a state set or an enum.
   */
  const struct shmetrics_str *states;
  /**
   * The number of them.
   */
  size_t state_count;
  /**
   * A `SHMETRICS_KIND_...`.
   */
  uint32_t kind;
  /**
   * Whether points of this histogram have native buckets.
   */
  bool is_native;
} shmetrics_point_family;

/**
 * A quantile of a summary.
 */
typedef struct shmetrics_quantile {
  /**
   * Such as 0.99.
   */
  double quantile;
  /**
   * Its value; NaN if there was no observation lately.
   */
  double value;
} shmetrics_quantile;

/**
 * A native bucket that has observations.
 */
typedef struct shmetrics_native_bucket {
  /**
   * Bucket `i` is of sizes above 2^((i - 1) / 2^schema) and up to 2^(i / 2^schema).
   */
  int32_t index;
  /**
   * Observations, not cumulated.
   */
  uint64_t count;
} shmetrics_native_bucket;

/**
 * The native buckets of a histogram's point.
 */
typedef struct shmetrics_native_buckets {
  /**
   * Observations up to this size, of either sign, are in the zero bucket.
   */
  double zero_threshold;
  /**
   * The zero bucket.
   */
  uint64_t zero_count;
  /**
   * Buckets of positive observations, by rising index.
   */
  const struct shmetrics_native_bucket *positive;
  /**
   * The number of them.
   */
  size_t positive_count;
  /**
   * Buckets of negative observations, by the rising index of their size.
   */
  const struct shmetrics_native_bucket *negative;
  /**
   * The number of them.
   */
  size_t negative_count;
  /**
   * The resolution, from -4 to 8.
   */
  int32_t schema;
} shmetrics_native_buckets;

/**
 * An exemplar.
 */
typedef struct shmetrics_exemplar {
  /**
   * Its labels.
   */
  const struct shmetrics_label *labels;
  /**
   * The number of them.
   */
  size_t label_count;
  /**
   * What was counted or observed.
   */
  double value;
  /**
   * When, in seconds since 1970.
   */
  double at_seconds;
} shmetrics_exemplar;

/**
 * A series as it was at one moment. Pointers in it are valid until the next call with the same
 * points. Arrays that a type does not have are NULL with a count of 0. Later versions may add
 * fields at the end.
 */
typedef struct shmetrics_point {
  /**
   * Its family: the same pointer for all points of the family that follow each other.
   */
  const struct shmetrics_point_family *family;
  /**
   * Its labels, those of the whole segment first.
   */
  const struct shmetrics_label *labels;
  /**
   * The number of them.
   */
  size_t label_count;
  /**
   * When the series began, in seconds since 1970; 0 where the time is not known.
   */
  double began_seconds;
  /**
   * The value of a counter, gauge, unknown or info; the sum of a histogram's or summary's
   * observations.
   */
  double value;
  /**
   * A counter's exact value, if `is_whole`.
   */
  uint64_t whole;
  /**
   * The observations of each bucket by itself, not cumulated, one bucket more than there are
   * bounds. A summary, and a histogram with native buckets alone, has one bucket. `value` is the
   * sum of these observations.
   */
  const uint64_t *counts;
  /**
   * The number of them.
   */
  size_t bucket_count;
  /**
   * A summary's quantiles.
   */
  const struct shmetrics_quantile *quantiles;
  /**
   * The number of them.
   */
  size_t quantile_count;
  /**
   * For each state of the family, whether it is on.
   */
  const bool *states;
  /**
   * The number of them.
   */
  size_t state_count;
  /**
   * The same observations in native buckets, or NULL.
   */
  const struct shmetrics_native_buckets *native_buckets;
  /**
   * Its exemplars, those of buckets in their order.
   */
  const struct shmetrics_exemplar *exemplars;
  /**
   * The number of them.
   */
  size_t exemplar_count;
  /**
   * Whether `whole` is the exact value of a counter: true unless a fraction was ever added.
   */
  bool is_whole;
} shmetrics_point;

/**
 * The form of a page. Zero-initialised, it is text 0.0.4.
 */
typedef struct shmetrics_exposition {
  /**
   * A `SHMETRICS_FORMAT_...`.
   */
  uint32_t format;
  /**
   * A `SHMETRICS_ESCAPING_...`.
   */
  uint32_t escaping;
  /**
   * OpenMetrics 1.0.0 with `_created` samples, each of which is a further series for the
   * scraper.
   */
  bool created;
} shmetrics_exposition;

/**
 * How to open a segment. Fill it with `shmetrics_options_init`, then change what you need.
 */
typedef struct shmetrics_options {
  /**
   * `sizeof(shmetrics_options)`, set by `shmetrics_options_init`.
   */
  size_t struct_size;
  /**
   * The segment's name: at most 245 letters, digits and `. _ - : @`; or, with a slash, the path
   * of a file on a tmpfs. Empty: `$SHMETRICS_SEGMENT`, else "default".
   */
  struct shmetrics_str name;
  /**
   * `SHMETRICS_OPEN_OR_CREATE`, `SHMETRICS_CREATE_NEW`, `SHMETRICS_ATTACH` or
   * `SHMETRICS_ANONYMOUS`.
   */
  uint32_t open_mode;
  /**
   * The file mode of a new segment: 0640 for scrapers of the same group, 0660 for processes of
   * the same group that count. 0 for `$SHMETRICS_MODE`, else 0600.
   */
  uint32_t mode;
  /**
   * The size in bytes to which a new segment may grow, from `SHMETRICS_MIN_SIZE_BYTES` to
   * `SHMETRICS_MAX_SIZE_BYTES`. 0 for `$SHMETRICS_MAX_SIZE`, else 64 MiB.
   */
  uint64_t max_size;
  /**
   * The most series of a new segment; 0 for as many as fit. A label set of a bundle takes a
   * series for each member, and is made if all of them fit. Only label sets that are made at the
   * same moment may exceed the limit.
   */
  uint64_t max_series;
  /**
   * The most processes that have values in per-process gauges at one time, at most
   * `SHMETRICS_MAX_PROCESSES`.
   */
  uint32_t max_processes;
  /**
   * Not 0: accept a file system that is not tmpfs. Updates may then wait for the disk.
   */
  uint32_t allow_disk;
  /**
   * Not 0: replace a segment that no process has open for counting by a new one. For the process
   * that starts a service and stays. Only with `SHMETRICS_OPEN_OR_CREATE`.
   */
  uint32_t reset_if_unused;
  /**
   * Whether hot counters and histograms count in per-CPU cells: `SHMETRICS_PER_CPU_DEFAULT`,
   * `_LOCKED` or `_NONE`. `$SHMETRICS_RSEQ=0` is `SHMETRICS_PER_CPU_LOCKED` for all processes.
   */
  uint32_t per_cpu;
  /**
   * Labels that every series of a new segment has in front of its own. A process that attaches
   * the segment gives the same labels or none.
   */
  const struct shmetrics_label *labels;
  /**
   * The number of labels.
   */
  size_t label_count;
  /**
   * The group of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_GROUP`,
   * else the group of this process.
   */
  struct shmetrics_str group;
  /**
   * The owner of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_OWNER`,
   * else the user of this process. Only root may name another user. This process trusts segments
   * of this user.
   */
  struct shmetrics_str owner;
  /**
   * The users, separated by commas, in whose existing segments this process may count, besides
   * root and its own user. Empty: `$SHMETRICS_TRUST`. The owner of a segment can truncate its
   * file, which kills the processes that use it.
   */
  struct shmetrics_str trust;
  /**
   * How the text formats show bounds of buckets and quantiles of a new segment:
   * `SHMETRICS_BOUNDS_DEFAULT`, `_CANONICAL` or `_SHORT`.
   */
  uint32_t bounds;
  /**
   * Reserved: 0.
   */
  uint32_t reserved;
  /**
   * The revision of this process, for hosts that number their reloads. Of two processes that
   * replace each other's definition of a family (`shmetrics_family_spec.replace`), the later
   * revision prevails. 0: the time at which this process opened the segment last; forked
   * children have that of their parent. All processes of an application give numbers, or none.
   */
  uint64_t revision;
} shmetrics_options;

/**
 * A family of state sets, or of enums.
 */
typedef struct shmetrics_states_family {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_states_family;

/**
 * A family of information in labels.
 */
typedef struct shmetrics_info_family {
  /**
   * Private.
   */
  const void *p0;
  /**
   * Private.
   */
  const void *p1;
} shmetrics_info_family;

/**
 * The number of an update.
 */
typedef union shmetrics_amount {
  /**
   * The amount of `SHMETRICS_UPDATE_ADD_U64`.
   */
  uint64_t n;
  /**
   * The amount of all other operations.
   */
  double v;
} shmetrics_amount;

/**
 * An update of a member of a bundle.
 */
typedef struct shmetrics_update {
  /**
   * The number of the member.
   */
  uint32_t member;
  /**
   * A `SHMETRICS_UPDATE_...`.
   */
  uint32_t operation;
  /**
   * How much to add, what to set, or what to observe.
   */
  union shmetrics_amount amount;
} shmetrics_update;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The string of a C string, which ends in NUL. NULL gives the empty string. The result points to
 * `text`.
 */
struct shmetrics_str shmetrics_cstr(const char *text);

/**
 * Writes `count` upper bounds to `bounds`: `start`, `start + width`, `start + 2 * width` and so
 * on. `SHMETRICS_STATUS_INVALID_ARGUMENT`: they would not rise, or would not be finite.
 */
enum shmetrics_status shmetrics_buckets_linear(double start,
                                               double width,
                                               double *bounds,
                                               size_t count);

/**
 * Writes `count` upper bounds to `bounds`: `start`, and each further one `factor` times the one
 * before. `SHMETRICS_STATUS_INVALID_ARGUMENT`: they would not rise, or would not be finite.
 */
enum shmetrics_status shmetrics_buckets_exponential(double start,
                                                    double factor,
                                                    double *bounds,
                                                    size_t count);

/**
 * Registers a bundle, or finds it. Any process may do so at any time.
 *
 * ```c
 * const shmetrics_str labels[] = {SHMETRICS_STR("method"), SHMETRICS_STR("status")};
 * enum { REQUESTS, LATENCY };
 * const shmetrics_family_spec requests = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("requests"));
 * const shmetrics_family_spec latency = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("latency"));
 * const shmetrics_member members[] = {
 *     [REQUESTS] = {SHMETRICS_KIND_COUNTER, 0, &requests},
 *     [LATENCY] = {SHMETRICS_KIND_HISTOGRAM, 0, &latency},
 * };
 * const shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = labels,
 *     .label_count = 2, .members = members, .member_count = 2};
 * shmetrics_bundle http;
 * shmetrics_bundle_register(segment, &spec, &http);
 * ```
 */
enum shmetrics_status shmetrics_bundle_register(struct shmetrics_segment *segment,
                                                const struct shmetrics_bundle_spec *spec,
                                                struct shmetrics_bundle *bundle);

/**
 * The series of all members with these label values, made if there are none. See "Label sets"
 * above.
 */
struct shmetrics_entry shmetrics_bundle_with(struct shmetrics_bundle bundle,
                                             const struct shmetrics_str *values,
                                             size_t count);

/**
 * Removes the series with these label values from all members, for all processes. False if there
 * are none. See "Removing label sets" above.
 */
bool shmetrics_bundle_remove(struct shmetrics_bundle bundle,
                             const struct shmetrics_str *values,
                             size_t count);

/**
 * Removes all label sets of the bundle, and returns how many.
 */
uint64_t shmetrics_bundle_clear(struct shmetrics_bundle bundle);

/**
 * Whether the label set has been removed. False for an inert handle.
 */
bool shmetrics_entry_is_removed(struct shmetrics_entry entry);

/**
 * The counter that is the member of this number. All calls of this kind give an inert handle if
 * the number is that of another type.
 */
struct shmetrics_counter shmetrics_entry_counter(struct shmetrics_entry entry, size_t member);

/**
 * The gauge, or the metric of unknown type, that is the member of this number.
 */
struct shmetrics_gauge shmetrics_entry_gauge(struct shmetrics_entry entry, size_t member);

/**
 * The histogram, gauge histogram or summary that is the member of this number.
 */
struct shmetrics_histogram shmetrics_entry_histogram(struct shmetrics_entry entry, size_t member);

/**
 * The state set or enum that is the member of this number.
 */
struct shmetrics_states shmetrics_entry_states(struct shmetrics_entry entry, size_t member);

/**
 * Adds a whole number to the counter that is the member of this number. All calls of this kind
 * do nothing if the number is that of another type.
 */
void shmetrics_entry_add_u64(struct shmetrics_entry entry, size_t member, uint64_t n);

/**
 * Adds to the counter, or to the gauge, that is the member of this number.
 */
void shmetrics_entry_add(struct shmetrics_entry entry, size_t member, double v);

/**
 * Sets the gauge that is the member of this number.
 */
void shmetrics_entry_set(struct shmetrics_entry entry, size_t member, double v);

/**
 * Observes in the histogram, gauge histogram or summary that is the member of this number.
 */
void shmetrics_entry_observe(struct shmetrics_entry entry, size_t member, double v);

/**
 * As `shmetrics_bundle_with`: see `shmetrics_counter_with_p`.
 */
void shmetrics_bundle_with_p(const struct shmetrics_bundle *bundle,
                             const struct shmetrics_str *values,
                             size_t count,
                             struct shmetrics_entry *entry);

/**
 * As `shmetrics_entry_add_u64`.
 */
void shmetrics_entry_add_u64_p(const struct shmetrics_entry *entry, size_t member, uint64_t n);

/**
 * As `shmetrics_entry_add`.
 */
void shmetrics_entry_add_p(const struct shmetrics_entry *entry, size_t member, double v);

/**
 * As `shmetrics_entry_set`.
 */
void shmetrics_entry_set_p(const struct shmetrics_entry *entry, size_t member, double v);

/**
 * As `shmetrics_entry_observe`.
 */
void shmetrics_entry_observe_p(const struct shmetrics_entry *entry, size_t member, double v);

/**
 * Adds a collector: `collect` is called for each page that this process begins of the segment, by
 * `shmetrics_segment_cursor` or `shmetrics_segment_render`, before that call returns and in its
 * thread. Collectors are called in the order in which they were added. Exporters and readers in
 * other processes do not call them: their pages have the families of the segment alone.
 *
 * * Threads: several threads that begin pages may be in the same collector at the same time.
 * * Fork: a child has the collectors of its parent, and calls them for its own pages.
 * * Calls: a collector may call everything in this library. A page that it begins itself has no
 *   samples of collectors. A collector that it adds takes part from the next page on.
 * * A collector must return: it may not throw an exception or `longjmp`. While it runs, the thread
 *   cannot be cancelled.
 *
 * `*collector`, unless it is NULL, is for `shmetrics_collector_remove`.
 */
enum shmetrics_status shmetrics_segment_add_collector(struct shmetrics_segment *segment,
                                                      shmetrics_collect_fn collect,
                                                      void *data,
                                                      struct shmetrics_collector **collector);

/**
 * Removes a collector; NULL is ignored. No page that is begun afterwards calls it. A call that
 * another thread has begun goes on: what `data` points to must stay valid until it has returned.
 */
void shmetrics_collector_remove(struct shmetrics_collector *collector);

/**
 * Adds a sample of a family that is in no segment to the page of a cursor: from a collector, or
 * before the first read. `kind` is `SHMETRICS_KIND_COUNTER` or `SHMETRICS_KIND_GAUGE`. The first
 * sample of a family makes it, with its help. A sample with the same labels as one before replaces
 * it. Names are letters, digits and `_`, and do not begin with `shmetrics_`. A family of the
 * segment with the same name prevails, and `shmetrics_conflicts` counts the other one.
 */
enum shmetrics_status shmetrics_cursor_add_sample(struct shmetrics_cursor *cursor,
                                                  uint32_t kind,
                                                  struct shmetrics_str name,
                                                  struct shmetrics_str help,
                                                  const struct shmetrics_label *labels,
                                                  size_t count,
                                                  double value);

/**
 * Registers a family of counters, or finds it.
 */
enum shmetrics_status shmetrics_counter_register(struct shmetrics_segment *segment,
                                                 const struct shmetrics_family_spec *spec,
                                                 struct shmetrics_counter_family *family);

/**
 * The counter with these label values, made if there is none. See "Label sets" above.
 */
struct shmetrics_counter shmetrics_counter_with(struct shmetrics_counter_family family,
                                                const struct shmetrics_str *values,
                                                size_t count);

/**
 * Removes the counter with these label values, for all processes. False if there is none. See
 * "Removing label sets" above.
 */
bool shmetrics_counter_remove(struct shmetrics_counter_family family,
                              const struct shmetrics_str *values,
                              size_t count);

/**
 * Removes all counters of the family, and returns how many.
 */
uint64_t shmetrics_counter_clear(struct shmetrics_counter_family family);

/**
 * Whether the counter has been removed. A look-up of the same values then makes a new one. False
 * for an inert handle.
 */
bool shmetrics_counter_is_removed(struct shmetrics_counter counter);

/**
 * Adds 1.
 */
void shmetrics_counter_inc(struct shmetrics_counter counter);

/**
 * Adds `v`. A negative, infinite or NaN `v` is not added but counted in
 * `shmetrics_updates_rejected_total`.
 */
void shmetrics_counter_add(struct shmetrics_counter counter, double v);

/**
 * Adds `v`, and keeps these labels as the exemplar of the addition, such as a `trace_id`. A
 * counter keeps the latest exemplar, and takes a new one at the earliest
 * `exemplar_interval_seconds` after the last. Names and values have at most
 * `SHMETRICS_MAX_EXEMPLAR_CHARACTERS` together. Labels that no page could show are not kept, and
 * counted in `shmetrics_updates_rejected_total`. OpenMetrics and protobuf pages show exemplars.
 */
void shmetrics_counter_add_with_exemplar(struct shmetrics_counter counter,
                                         double v,
                                         const struct shmetrics_label *labels,
                                         size_t count);

/**
 * Adds `v` to the counter of this name with these labels, in one call: for hosts that have no
 * place to keep handles between two requests. The labels may be in any order; that of the family
 * is fastest. A family or series that is missing is made. The new family has no help text and no
 * limit: register the family beforehand where it needs them. The call takes two look-ups. On an
 * error nothing is counted. A negative, infinite or NaN `v` is
 * `SHMETRICS_STATUS_INVALID_ARGUMENT`, and makes nothing.
 */
enum shmetrics_status shmetrics_counter_add_named(struct shmetrics_segment *segment,
                                                  struct shmetrics_str name,
                                                  const struct shmetrics_label *labels,
                                                  size_t count,
                                                  double v);

/**
 * Adds a whole number.
 */
void shmetrics_counter_add_u64(struct shmetrics_counter counter, uint64_t n);

/**
 * The value now, over all processes; 0 for an inert handle.
 */
double shmetrics_counter_value(struct shmetrics_counter counter);

/**
 * Sets the value, for hosts whose counters can be set, such as copies of the counters of another
 * system. Scrapers see a lower value as a restart. A negative, infinite or NaN `v` is not set, and
 * counted in `shmetrics_updates_rejected_total`. Updates of other threads and processes during the
 * call are kept. If several threads set the counter at the same time, none of their values may be
 * the result.
 */
void shmetrics_counter_set(struct shmetrics_counter counter, double v);

/**
 * Sets the value to 0, for hosts whose counters can be reset. Scrapers see a restart. Updates of
 * other threads and processes during the call are kept.
 */
void shmetrics_counter_reset(struct shmetrics_counter counter);

/**
 * Registers a family of gauges, or finds it. `mode`, a `SHMETRICS_GAUGE_...`, says how a page
 * combines the values of several processes.
 */
enum shmetrics_status shmetrics_gauge_register(struct shmetrics_segment *segment,
                                               const struct shmetrics_family_spec *spec,
                                               uint32_t mode,
                                               struct shmetrics_gauge_family *family);

/**
 * Registers a family of metrics of unknown type (`untyped`), or finds it: one value for all
 * processes, such as a value from another system. It is set as a gauge is.
 */
enum shmetrics_status shmetrics_unknown_register(struct shmetrics_segment *segment,
                                                 const struct shmetrics_family_spec *spec,
                                                 struct shmetrics_gauge_family *family);

/**
 * The gauge with these label values, made if there is none. See "Label sets" above.
 */
struct shmetrics_gauge shmetrics_gauge_with(struct shmetrics_gauge_family family,
                                            const struct shmetrics_str *values,
                                            size_t count);

/**
 * Removes the gauge with these label values, for all processes. False if there is none. See
 * "Removing label sets" above.
 */
bool shmetrics_gauge_remove(struct shmetrics_gauge_family family,
                            const struct shmetrics_str *values,
                            size_t count);

/**
 * Removes all gauges of the family, and returns how many.
 */
uint64_t shmetrics_gauge_clear(struct shmetrics_gauge_family family);

/**
 * Whether the gauge has been removed. A look-up of the same values then makes a new one. False for
 * an inert handle.
 */
bool shmetrics_gauge_is_removed(struct shmetrics_gauge gauge);

/**
 * Sets the value.
 */
void shmetrics_gauge_set(struct shmetrics_gauge gauge, double v);

/**
 * Adds `v`, which may be negative.
 */
void shmetrics_gauge_add(struct shmetrics_gauge gauge, double v);

/**
 * Adds 1.
 */
void shmetrics_gauge_inc(struct shmetrics_gauge gauge);

/**
 * Subtracts 1.
 */
void shmetrics_gauge_dec(struct shmetrics_gauge gauge);

/**
 * Sets the value to the time now, in seconds since 1970.
 */
void shmetrics_gauge_set_to_now(struct shmetrics_gauge gauge);

/**
 * The value now; 0 for an inert handle, and once the gauge is removed. For a per-process gauge
 * this is the value of this process, 0 if it has set none; a page combines the values of all
 * processes.
 */
double shmetrics_gauge_value(struct shmetrics_gauge gauge);

/**
 * Registers a family of histograms, or finds it: with classic buckets, with native ones if
 * `native_factor` is set, or with both.
 *
 * ```c
 * shmetrics_histogram_family latency;
 * shmetrics_histogram_register(segment, &SHMETRICS_FAMILY_SPEC(
 *     .name = SHMETRICS_STR("latency_seconds"), .unit = SHMETRICS_STR("seconds"),
 *     .native_factor = 1.1), &latency);
 * shmetrics_histogram_observe(shmetrics_histogram_with(latency, NULL, 0), 0.0042);
 * ```
 *
 * Native buckets are made at their first observation. An observation that finds no room for its
 * bucket is not counted, except in `shmetrics_observations_refused_total`.
 */
enum shmetrics_status shmetrics_histogram_register(struct shmetrics_segment *segment,
                                                   const struct shmetrics_family_spec *spec,
                                                   struct shmetrics_histogram_family *family);

/**
 * The histogram with these label values, made if there is none. See "Label sets" above.
 */
struct shmetrics_histogram shmetrics_histogram_with(struct shmetrics_histogram_family family,
                                                    const struct shmetrics_str *values,
                                                    size_t count);

/**
 * Removes the histogram with these label values, for all processes. False if there is none. See
 * "Removing label sets" above.
 */
bool shmetrics_histogram_remove(struct shmetrics_histogram_family family,
                                const struct shmetrics_str *values,
                                size_t count);

/**
 * Removes all histograms of the family, and returns how many.
 */
uint64_t shmetrics_histogram_clear(struct shmetrics_histogram_family family);

/**
 * Whether the histogram has been removed. A look-up of the same values then makes a new one. False
 * for an inert handle.
 */
bool shmetrics_histogram_is_removed(struct shmetrics_histogram histogram);

/**
 * Counts one observation. NaN is not counted, except in `shmetrics_updates_rejected_total`. An
 * infinite value is counted in its bucket and does not change the sum.
 */
void shmetrics_histogram_observe(struct shmetrics_histogram histogram, double v);

/**
 * As `shmetrics_histogram_observe`, and keeps these labels as the exemplar of the bucket, as
 * `shmetrics_counter_add_with_exemplar` does. Not for summaries.
 */
void shmetrics_histogram_observe_with_exemplar(struct shmetrics_histogram histogram,
                                               double v,
                                               const struct shmetrics_label *labels,
                                               size_t count);

/**
 * Counts one observation of the histogram of this name with these labels, as
 * `shmetrics_counter_add_named` adds. A histogram that is made has the default buckets. NaN is
 * `SHMETRICS_STATUS_INVALID_ARGUMENT`.
 */
enum shmetrics_status shmetrics_histogram_observe_named(struct shmetrics_segment *segment,
                                                        struct shmetrics_str name,
                                                        const struct shmetrics_label *labels,
                                                        size_t count,
                                                        double v);

/**
 * The time now, for `shmetrics_histogram_observe_since`. The number has no other meaning.
 */
uint64_t shmetrics_timer_start(void);

/**
 * Observes the seconds since `start`, which `shmetrics_timer_start` gave.
 */
void shmetrics_histogram_observe_since(struct shmetrics_histogram histogram, uint64_t start);

/**
 * Writes the number of observations to `*count` and their sum to `*sum`, over all processes. Both
 * are of the same observations; 0 for an inert handle, and once the series is removed. Either
 * pointer may be NULL. The handle may be that of a summary. The call takes memory of the process
 * for a moment, so it is not async-signal-safe.
 */
void shmetrics_histogram_value(struct shmetrics_histogram histogram, uint64_t *count, double *sum);

/**
 * As `shmetrics_counter_with`, for foreign-function interfaces that cannot pass structs by value.
 * All calls that end in `_p` take the address of a handle, and do nothing if it is NULL.
 * `*counter` becomes the handle.
 */
void shmetrics_counter_with_p(const struct shmetrics_counter_family *family,
                              const struct shmetrics_str *values,
                              size_t count,
                              struct shmetrics_counter *counter);

/**
 * As `shmetrics_counter_inc`.
 */
void shmetrics_counter_inc_p(const struct shmetrics_counter *counter);

/**
 * As `shmetrics_counter_add`.
 */
void shmetrics_counter_add_p(const struct shmetrics_counter *counter, double v);

/**
 * As `shmetrics_counter_add_u64`.
 */
void shmetrics_counter_add_u64_p(const struct shmetrics_counter *counter, uint64_t n);

/**
 * As `shmetrics_counter_set`.
 */
void shmetrics_counter_set_p(const struct shmetrics_counter *counter, double v);

/**
 * As `shmetrics_counter_reset`.
 */
void shmetrics_counter_reset_p(const struct shmetrics_counter *counter);

/**
 * As `shmetrics_counter_value`.
 */
double shmetrics_counter_value_p(const struct shmetrics_counter *counter);

/**
 * As `shmetrics_gauge_with`: see `shmetrics_counter_with_p`.
 */
void shmetrics_gauge_with_p(const struct shmetrics_gauge_family *family,
                            const struct shmetrics_str *values,
                            size_t count,
                            struct shmetrics_gauge *gauge);

/**
 * As `shmetrics_gauge_set`.
 */
void shmetrics_gauge_set_p(const struct shmetrics_gauge *gauge, double v);

/**
 * As `shmetrics_gauge_add`.
 */
void shmetrics_gauge_add_p(const struct shmetrics_gauge *gauge, double v);

/**
 * As `shmetrics_gauge_inc`.
 */
void shmetrics_gauge_inc_p(const struct shmetrics_gauge *gauge);

/**
 * As `shmetrics_gauge_dec`.
 */
void shmetrics_gauge_dec_p(const struct shmetrics_gauge *gauge);

/**
 * As `shmetrics_gauge_value`.
 */
double shmetrics_gauge_value_p(const struct shmetrics_gauge *gauge);

/**
 * As `shmetrics_histogram_with`: see `shmetrics_counter_with_p`.
 */
void shmetrics_histogram_with_p(const struct shmetrics_histogram_family *family,
                                const struct shmetrics_str *values,
                                size_t count,
                                struct shmetrics_histogram *histogram);

/**
 * As `shmetrics_summary_with`: see `shmetrics_counter_with_p`.
 */
void shmetrics_summary_with_p(const struct shmetrics_summary_family *family,
                              const struct shmetrics_str *values,
                              size_t count,
                              struct shmetrics_histogram *summary);

/**
 * As `shmetrics_histogram_observe`, of summaries too.
 */
void shmetrics_histogram_observe_p(const struct shmetrics_histogram *histogram, double v);

/**
 * As `shmetrics_histogram_observe_since`, of summaries too.
 */
void shmetrics_histogram_observe_since_p(const struct shmetrics_histogram *histogram,
                                         uint64_t start);

/**
 * As `shmetrics_histogram_value`, of summaries too.
 */
void shmetrics_histogram_value_p(const struct shmetrics_histogram *histogram,
                                 uint64_t *count,
                                 double *sum);

/**
 * Reads the page of the cursor as values instead of text. Each series is read at one moment, all
 * series of a family before the next family, the library's own families last.
 * `shmetrics_cursor_add_filter` selects families beforehand. The exposition has no effect: names
 * are as they were registered. At most some hundred series are held at a time. On success the
 * cursor is freed.
 */
enum shmetrics_status shmetrics_cursor_points(struct shmetrics_cursor *cursor,
                                              struct shmetrics_points **points);

/**
 * Reads the next series. `*point` becomes NULL after the last one.
 */
enum shmetrics_status shmetrics_points_next(struct shmetrics_points *points,
                                            const struct shmetrics_point **point);

/**
 * Frees points; NULL is ignored. Free the points of a reader before the reader.
 */
void shmetrics_points_free(struct shmetrics_points *points);

/**
 * Attaches to a segment, read-only. An empty name: `$SHMETRICS_SEGMENT`, else "default".
 */
enum shmetrics_status shmetrics_reader_open(struct shmetrics_str name,
                                            struct shmetrics_reader **reader);

/**
 * Frees a reader; NULL is ignored. Its cursors must have been freed.
 */
void shmetrics_reader_free(struct shmetrics_reader *reader);

/**
 * Renders a page into `buffer`. `*length` becomes the length of the page also when `capacity` is
 * too small for it: then nothing is written, and the status is
 * `SHMETRICS_STATUS_BUFFER_TOO_SMALL`. The page may have grown by the next call: leave some room.
 */
enum shmetrics_status shmetrics_reader_render(const struct shmetrics_reader *reader,
                                              char *buffer,
                                              size_t capacity,
                                              size_t *length);

/**
 * As `shmetrics_reader_render`, from a segment that this process has open.
 */
enum shmetrics_status shmetrics_segment_render(const struct shmetrics_segment *segment,
                                               char *buffer,
                                               size_t capacity,
                                               size_t *length);

/**
 * Begins a page that is read in pieces. The segment stays mapped, so the cursor may be used at any
 * time.
 */
enum shmetrics_status shmetrics_segment_cursor(const struct shmetrics_segment *segment,
                                               struct shmetrics_cursor **cursor);

/**
 * Begins a page that is read in pieces. Free the cursor before the reader.
 */
enum shmetrics_status shmetrics_reader_cursor(const struct shmetrics_reader *reader,
                                              struct shmetrics_cursor **cursor);

/**
 * The exposition for a scraper that sends this `Accept` header, or an empty one if it sends none.
 * Never fails: for an unknown header it is text 0.0.4.
 */
struct shmetrics_exposition shmetrics_negotiate(struct shmetrics_str accept);

/**
 * The `Content-Type` of a page with this exposition. NULL if there is no such format or escaping.
 */
const char *shmetrics_exposition_content_type(struct shmetrics_exposition exposition);

/**
 * Whether to compress the answer to a request with this `Accept-Encoding` header by gzip. Send
 * `Vary: Accept, Accept-Encoding` in any case.
 */
bool shmetrics_accepts_gzip(struct shmetrics_str accept_encoding);

/**
 * Sets the exposition of the page; without this call it is text 0.0.4. Call it before the first
 * read.
 */
enum shmetrics_status shmetrics_cursor_set_exposition(struct shmetrics_cursor *cursor,
                                                      struct shmetrics_exposition exposition);

/**
 * Selects a family by the name of one of its samples, as scrapers ask for by `name[]`. The page
 * has the selected families; without a filter, all. The name may be as registered or as the page
 * shows it. Call it before the first read.
 */
enum shmetrics_status shmetrics_cursor_add_filter(struct shmetrics_cursor *cursor,
                                                  struct shmetrics_str name);

/**
 * Copies the next bytes of the page to `buffer` and returns their number; 0 once the page is
 * complete. Any capacity will do, down to one byte.
 */
size_t shmetrics_cursor_read(struct shmetrics_cursor *cursor, char *buffer, size_t capacity);

/**
 * Frees a cursor; NULL is ignored.
 */
void shmetrics_cursor_free(struct shmetrics_cursor *cursor);

/**
 * The `Content-Type` of a page in the text format 0.0.4. Prometheus 3 rejects a page without it.
 */
const char *shmetrics_content_type(void);

/**
 * The library's version, such as "0.1.0".
 */
const char *shmetrics_version(void);

/**
 * Sets the defaults of the fields of the first version, for programs that do not pass the size of
 * their struct. In C and C++ a macro of this name calls `shmetrics_options_init_sized`, which sets
 * all fields.
 */
void shmetrics_options_init(struct shmetrics_options *options);

/**
 * Sets the defaults of a struct of `size` bytes: `sizeof(shmetrics_options)` where it is compiled.
 */
void shmetrics_options_init_sized(struct shmetrics_options *options, size_t size);

/**
 * Opens a segment. `options` may be NULL for the defaults. Opening the same segment again gives
 * the same pointer, from any thread and by any path; also in a forked child that may no longer
 * open the file.
 */
enum shmetrics_status shmetrics_segment_open(const struct shmetrics_options *options,
                                             struct shmetrics_segment **segment);

/**
 * Removes the name of a segment. Processes that have the segment mapped keep using the memory,
 * which no new process finds. The call removes segments only, and by a plain name also damaged
 * ones.
 */
enum shmetrics_status shmetrics_segment_remove(struct shmetrics_str name);

/**
 * Removes the family of this name from all pages, for all processes. `*unregistered`, unless it is
 * NULL, says whether there was one. Updates through handles of the family do nothing and are
 * counted. The name may be registered again. `SHMETRICS_STATUS_CONFLICT`: a process of a later
 * revision has registered the family. To replace a definition by another, register it with
 * `replace`.
 */
enum shmetrics_status shmetrics_unregister(struct shmetrics_segment *segment,
                                           struct shmetrics_str name,
                                           bool *unregistered);

/**
 * Gives this process a number for the label `pid` of per-process gauges, such as a worker number.
 * Call it in the worker, before its first update of a gauge.
 */
enum shmetrics_status shmetrics_segment_set_identity(struct shmetrics_segment *segment,
                                                     uint32_t identity);

/**
 * Takes a slot for this process' values in per-process gauges now, instead of at its first update
 * of such a gauge. Call it before a filter denies system calls, or to learn why a slot cannot be
 * taken. Repeated calls do nothing. Forked children take slots of their own.
 *
 * `SHMETRICS_STATUS_FULL`: `max_processes` processes have slots already.
 * `SHMETRICS_STATUS_PERMISSION` or `SHMETRICS_STATUS_SYSTEM`: the system denies both of the ways
 * to hold a slot: to open the file of the segment once more, and to make a System V shared memory
 * segment.
 */
enum shmetrics_status shmetrics_segment_attach_process(struct shmetrics_segment *segment);

/**
 * Expires the series of families with `expire_after_seconds` that no process has updated for that
 * time, and returns how many left the pages. Rendering a page of the segment does the same. Call
 * it where only read-only readers render.
 */
uint64_t shmetrics_segment_expire(struct shmetrics_segment *segment);

/**
 * For programs that are ported from libraries with such a call; no program needs it. The kernel
 * tells which processes live, so nothing is marked, and no call harms a living process. True if no
 * living process with this pid (in the caller's PID namespace) has values in per-process gauges.
 */
bool shmetrics_segment_mark_dead(struct shmetrics_segment *segment, uint32_t pid);

/**
 * Whether the name of the segment still leads to it. If the segment was removed or replaced, this
 * process counts where new processes and exporters do not look, until it is restarted. True also
 * where the process cannot tell, as after `chroot`, and for anonymous segments.
 */
bool shmetrics_segment_is_current(struct shmetrics_segment *segment);

/**
 * How many processes have the segment open for counting, this one included: forked children and
 * stopped processes count, readers do not. -1 if the system does not tell: see "Who has a segment
 * open" in the guide.
 */
int64_t shmetrics_segment_attached(struct shmetrics_segment *segment);

/**
 * Puts into `*in_use` whether any process has the segment of this name open for counting, this one
 * included. Readers do not count.
 */
enum shmetrics_status shmetrics_segment_is_in_use(struct shmetrics_str name, bool *in_use);

/**
 * Copies the next warning about the segment to `buffer`: a sentence for the log of the host, which
 * says what the segment could not take and what to do. The copy is cut off to `capacity`, with a
 * NUL at its end. Returns the whole length without the NUL; 0 if there is no new warning. Each
 * kind of warning is given once, to one of all processes: the rest of a warning that is cut off is
 * lost, so give 2048 bytes. Call it now and then, say after each page. `buffer` may be NULL if
 * `capacity` is 0.
 */
size_t shmetrics_segment_next_warning(struct shmetrics_segment *segment,
                                      char *buffer,
                                      size_t capacity);

/**
 * Registers a family of state sets, or finds it. The states are those of `spec->states`, each on
 * or off.
 */
enum shmetrics_status shmetrics_state_set_register(struct shmetrics_segment *segment,
                                                   const struct shmetrics_family_spec *spec,
                                                   struct shmetrics_states_family *family);

/**
 * Registers a family of enums, or finds it. One of the states of `spec->states` is on, at first
 * the first.
 */
enum shmetrics_status shmetrics_enum_register(struct shmetrics_segment *segment,
                                              const struct shmetrics_family_spec *spec,
                                              struct shmetrics_states_family *family);

/**
 * The state set or enum with these label values, made if there is none. See "Label sets" above.
 */
struct shmetrics_states shmetrics_states_with(struct shmetrics_states_family family,
                                              const struct shmetrics_str *values,
                                              size_t count);

/**
 * Removes the state set or enum with these label values, for all processes. False if there is
 * none. See "Removing label sets" above.
 */
bool shmetrics_states_remove(struct shmetrics_states_family family,
                             const struct shmetrics_str *values,
                             size_t count);

/**
 * Removes all state sets or enums of the family, and returns how many.
 */
uint64_t shmetrics_states_clear(struct shmetrics_states_family family);

/**
 * Whether the state set or enum has been removed. False for an inert handle.
 */
bool shmetrics_states_is_removed(struct shmetrics_states states);

/**
 * Sets a state of a state set on or off, by its index in `spec->states`. An index out of range is
 * counted in `shmetrics_updates_rejected_total`.
 */
void shmetrics_state_set_set(struct shmetrics_states states, size_t state, bool on);

/**
 * Sets the state of an enum, by its index in `spec->states`. An index out of range is counted in
 * `shmetrics_updates_rejected_total`.
 */
void shmetrics_enum_set(struct shmetrics_states states, size_t state);

/**
 * Registers a family of information in labels, or finds it. Pages show it as `name_info` with the
 * value 1.
 */
enum shmetrics_status shmetrics_info_register(struct shmetrics_segment *segment,
                                              const struct shmetrics_family_spec *spec,
                                              struct shmetrics_info_family *family);

/**
 * Makes the label set with these values, if there is none. False for an inert family, a wrong
 * number of values, or without room.
 */
bool shmetrics_info_with(struct shmetrics_info_family family,
                         const struct shmetrics_str *values,
                         size_t count);

/**
 * Removes the label set with these values, for all processes. False if there is none.
 */
bool shmetrics_info_remove(struct shmetrics_info_family family,
                           const struct shmetrics_str *values,
                           size_t count);

/**
 * Removes all label sets of the family, and returns how many.
 */
uint64_t shmetrics_info_clear(struct shmetrics_info_family family);

/**
 * The status in words: a static string, for any value.
 */
const char *shmetrics_status_message(uint32_t status);

/**
 * Copies the detail of the last failed call of this thread to `buffer`: a sentence that says what
 * to do. The copy is cut off to `capacity`, with a NUL at its end. Returns the whole length
 * without the NUL; 0 if no call has failed. `buffer` may be NULL if `capacity` is 0.
 */
size_t shmetrics_last_error(char *buffer, size_t capacity);

/**
 * Registers a family of summaries, or finds it: the count and the sum of observations, and
 * quantiles if the spec has `quantiles`.
 *
 * ```c
 * const double quantiles[] = {0.5, 0.9, 0.99};
 * shmetrics_summary_family sizes;
 * shmetrics_summary_register(segment, &SHMETRICS_FAMILY_SPEC(
 *     .name = SHMETRICS_STR("response_bytes"),
 *     .quantiles = quantiles, .quantile_count = 3), &sizes);
 * ```
 */
enum shmetrics_status shmetrics_summary_register(struct shmetrics_segment *segment,
                                                 const struct shmetrics_family_spec *spec,
                                                 struct shmetrics_summary_family *family);

/**
 * The summary with these label values, made if there is none. The handle is that of a histogram
 * without buckets: observe with `shmetrics_histogram_observe`. See "Label sets" above.
 */
struct shmetrics_histogram shmetrics_summary_with(struct shmetrics_summary_family family,
                                                  const struct shmetrics_str *values,
                                                  size_t count);

/**
 * Removes the summary with these label values, for all processes. False if there is none. See
 * "Removing label sets" above.
 */
bool shmetrics_summary_remove(struct shmetrics_summary_family family,
                              const struct shmetrics_str *values,
                              size_t count);

/**
 * Removes all summaries of the family, and returns how many.
 */
uint64_t shmetrics_summary_clear(struct shmetrics_summary_family family);

/**
 * Registers a family of gauge histograms, or finds it: histograms whose observations can be taken
 * back by `shmetrics_histogram_unobserve`, such as the ages of the jobs in a queue.
 */
enum shmetrics_status shmetrics_gauge_histogram_register(struct shmetrics_segment *segment,
                                                         const struct shmetrics_family_spec *spec,
                                                         struct shmetrics_histogram_family *family);

/**
 * Takes back an observation of `v` that was counted before: for gauge histograms. An empty bucket
 * stays empty, which is counted in `shmetrics_updates_rejected_total`.
 */
void shmetrics_histogram_unobserve(struct shmetrics_histogram histogram, double v);

/**
 * Does `count` updates of the entry's members in their order, in less time than a call for each.
 * Each update is one by itself, as if the call for its operation did it: a process that is killed
 * meanwhile has done the first of them. An update with an unknown operation is not done, but
 * counted in `shmetrics_updates_rejected_total`.
 *
 * ```c
 * const shmetrics_update updates[] = {
 *     {REQUESTS, SHMETRICS_UPDATE_ADD_U64, {.n = 1}},
 *     {LATENCY, SHMETRICS_UPDATE_OBSERVE, {.v = 0.012}},
 * };
 * shmetrics_entry_update(shmetrics_bundle_with(http, values, 2), updates, 2);
 * ```
 */
void shmetrics_entry_update(struct shmetrics_entry entry,
                            const struct shmetrics_update *updates,
                            size_t count);

/**
 * As `shmetrics_entry_update`.
 */
void shmetrics_entry_update_p(const struct shmetrics_entry *entry,
                              const struct shmetrics_update *updates,
                              size_t count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SHMETRICS_H */

/* Passes the size of the caller's struct, so that later versions can add fields. */
#ifndef shmetrics_options_init
#define shmetrics_options_init(options) shmetrics_options_init_sized(options, sizeof(shmetrics_options))
#endif
