/* shmetrics 0.1.0: Prometheus metrics for prefork servers, in one shared-memory segment.
 *
 * Generated from src/capi by `make header`; do not edit.
 *
 * Conventions
 *
 * Handles      Families, counters, gauges and histograms are values of a few private words: copy them freely, never free
 *              them. They stay valid as long as the process, in every thread, in signal handlers and over fork. A
 *              zero-initialised handle is inert: every call on it does nothing.
 * Ownership    Only readers, cursors and points are freed, each by its own call. Segments stay mapped as long as the process.
 * Reading      A page is read as bytes (shmetrics_..._render, shmetrics_cursor_read) or as values: shmetrics_cursor_points, then
 *              shmetrics_points_next for each series. Both hold a bounded part of the page.
 * FFIs         Handles are structs, and most calls take them by value. A foreign-function interface that cannot pass structs uses the
 *              calls that end in _p: they take the address of a handle.
 * Label sets   shmetrics_..._with never fails. A new label set is made on first use. Without room, or beyond a limit, it
 *              returns the family's overflow series, shown with the label shmetrics_overflow="true". A wrong number of
 *              values gives an inert handle and is counted in shmetrics_updates_rejected_total; so does an inert family,
 *              uncounted. Bytes that are not UTF-8 are shown as U+FFFD. The same set of label names is the same family in
 *              any order; a handle takes values in the order that its process registered. Look-ups in another order than
 *              the family was made with take two to three times as long: register in one order where you can. Keep the handle where the values are known
 *              beforehand.
 * Removing     shmetrics_..._remove takes a label set off every page and look-up, for all processes, from that instant on.
 * label sets   A look-up of the same values makes a new one, from 0. Handles to a removed one are safe for ever: updates
 *              through them count nowhere (but in shmetrics_updates_to_removed_total), never into another label set, even
 *              where the memory serves one by now. So look up what may be removed, rather than keep handles.
 * Errors       Calls that can fail return a shmetrics_status and write their outputs, which come last, only on success.
 *              shmetrics_last_error gives the detail. Updates return nothing and cannot fail.
 * Pointers     A pointer is NULL or came from this library and was not freed; outputs can be written; strings and arrays are
 *              as long as they say. Every pointer is checked for NULL: where a value is
 *              needed, NULL is SHMETRICS_STATUS_NULL_ARGUMENT.
 * Strings      Carry their length and need not end in NUL. They are UTF-8, and are read during the call only.
 * Threads      Every call may be made from any thread at any time, but a cursor by one thread at a time.
 * Fork         Before or after opening a segment, from any thread, by any means. A child counts through its parent's handles.
 *              Per-process gauges notice the fork by themselves. exec loses the mapping: open the segment again.
 *              A vfork child shares its parent's memory and counts as the parent.
 * Signals      Updates of counters and histograms are async-signal-safe. Those of gauges too, but for the first update of
 *              a per-process gauge in each process.
 * Cancellation No call is a cancellation point, whatever it does. A cancellation that is pending stays so: the thread ends at
 *              the host's own next cancellation point. The thread's type must be deferred, which is the default: no call may
 *              be cancelled asynchronously, as is so of most of the C library.
 * errno        No call changes errno. A call that fails says so by its status.
 * Memory       Updates and look-ups allocate nothing of the process' memory, but for a first look-up by name, which registers.
 *              A call that returns a status and finds no memory returns SHMETRICS_STATUS_NO_MEMORY, and has done nothing: it
 *              asks for more than it needs before it begins. The process still ends, by Rust's allocator, if another thread
 *              takes that memory meanwhile, if shmetrics_cursor_read or shmetrics_segment_next_warning finds none, and, by the C
 *              library, if a thread fails for the first time in a library that was loaded by dlopen.
 * Death        A process may be killed between any two instructions: nothing is lost that a call has returned from, and
 *              nobody waits for it.
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


/**
 * One value that all processes change.
 */
#define SHMETRICS_GAUGE_SHARED 0

/**
 * One sample for each process, dead or alive, with the label `pid`. A dead one's stays until a new
 * process takes its slot.
 */
#define SHMETRICS_GAUGE_ALL 1

/**
 * One sample for each living process, with the label `pid`.
 */
#define SHMETRICS_GAUGE_LIVEALL 2

/**
 * The sum over all processes, dead or alive.
 */
#define SHMETRICS_GAUGE_SUM 3

/**
 * The sum over living processes: requests in progress.
 */
#define SHMETRICS_GAUGE_LIVESUM 4

/**
 * The least value of any process.
 */
#define SHMETRICS_GAUGE_MIN 5

/**
 * The least value of a living process.
 */
#define SHMETRICS_GAUGE_LIVEMIN 6

/**
 * The greatest value of any process.
 */
#define SHMETRICS_GAUGE_MAX 7

/**
 * The greatest value of a living process.
 */
#define SHMETRICS_GAUGE_LIVEMAX 8

/**
 * The value that was set last.
 */
#define SHMETRICS_GAUGE_MOSTRECENT 9

/**
 * The value that was set last by a process that still lives.
 */
#define SHMETRICS_GAUGE_LIVEMOSTRECENT 10

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
 * Create a segment without a name, for processes forked from this one; sealed, and gone with its
 * last user.
 */
#define SHMETRICS_ANONYMOUS 3

/**
 * Hot series have cells for each CPU, written in restartable sequences (`rseq`) where they are to
 * be had.
 */
#define SHMETRICS_PER_CPU_DEFAULT 0

/**
 * This process uses no restartable sequences. A segment that it makes has cells for each CPU that
 * are written by locked instructions; in one that has others, it counts in the cells that all
 * share. Pages are the same.
 */
#define SHMETRICS_PER_CPU_LOCKED 1

/**
 * A segment that this process makes has no cells for each CPU: they take up to an eighth of the
 * ceiling.
 */
#define SHMETRICS_PER_CPU_NONE 2

/**
 * `le="1.0"`, as OpenMetrics and Python's client have it; or, if `$SHMETRICS_LE` is `short`,
 * `le="1"`.
 */
#define SHMETRICS_BOUNDS_DEFAULT 0

/**
 * `le="1.0"`.
 */
#define SHMETRICS_BOUNDS_CANONICAL 1

/**
 * `le="1"`, as Go's client has it: for rules that name it so. OpenMetrics pages have `le="1.0"` in
 * any case.
 */
#define SHMETRICS_BOUNDS_SHORT 2

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
   * The segment has reached its ceiling; or the caller's buffer is too small.
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
   * The process has no memory for the call. Nothing was done.
   */
  SHMETRICS_STATUS_NO_MEMORY,
} shmetrics_status;

/**
 * An exposition format.
 */
typedef enum shmetrics_format {
  /**
   * Prometheus' text format, version 0.0.4: understood by everything.
   */
  SHMETRICS_FORMAT_TEXT = 0,
  /**
   * Prometheus' text format, version 1.0.0: as 0.0.4, and names may be any UTF-8.
   */
  SHMETRICS_FORMAT_TEXT1,
  /**
   * OpenMetrics 1.0.0.
   */
  SHMETRICS_FORMAT_OPENMETRICS,
  /**
   * OpenMetrics 2.0.0, as of its release candidate: only for who asks for it.
   */
  SHMETRICS_FORMAT_OPENMETRICS2,
  /**
   * Length-delimited `io.prometheus.client.MetricFamily` messages.
   */
  SHMETRICS_FORMAT_PROTOBUF,
} shmetrics_format;

/**
 * What becomes of names that are not letters, digits and `_` (and, a metric's, `:`). All others
 * stay as they are.
 */
typedef enum shmetrics_escaping {
  /**
   * Each such character becomes `_`. Not named in the content type.
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
   * `U__` in front, underscores become `__`, and each such character its code point between
   * underscores.
   */
  SHMETRICS_ESCAPING_VALUES,
  /**
   * They stay, in quotes. Not in text 0.0.4, which then has underscores.
   */
  SHMETRICS_ESCAPING_ALLOW_UTF8,
} shmetrics_escaping;

/**
 * A family's type.
 */
typedef enum shmetrics_kind {
  /**
   * A value of which nothing is known.
   */
  SHMETRICS_KIND_UNKNOWN = 0,
  /**
   * It only rises.
   */
  SHMETRICS_KIND_COUNTER,
  /**
   * It goes up and down.
   */
  SHMETRICS_KIND_GAUGE,
  /**
   * Observations in buckets.
   */
  SHMETRICS_KIND_HISTOGRAM,
  /**
   * Observations, which may be taken back, in buckets.
   */
  SHMETRICS_KIND_GAUGE_HISTOGRAM,
  /**
   * Observations by their count and sum.
   */
  SHMETRICS_KIND_SUMMARY,
  /**
   * Labels that say something; the value is 1.
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
 * A page being rendered, a piece at a time. Freed by `shmetrics_cursor_free`.
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
 * A segment, mapped for the process' life. Never freed; valid in every thread and over fork.
 */
typedef struct shmetrics_segment shmetrics_segment;

/**
 * Bytes with their length. They need not end in NUL. As a label value, a NULL pointer is the empty
 * string.
 */
typedef struct shmetrics_str {
  /**
   * The first byte.
   */
  const char *data;
  /**
   * How many.
   */
  size_t len;
} shmetrics_str;

/**
 * What a family is called and made of. Zero-initialise it, then set what you need. What families
 * of a type do not have, such as buckets of a counter, is `SHMETRICS_STATUS_INVALID_ARGUMENT`.
 */
typedef struct shmetrics_family_spec {
  /**
   * The metric's name: any UTF-8 without control characters. What is not letters, digits, `_`
   * and `:` is escaped for scrapers that do not ask for it. A counter is shown as `name_total`,
   * whether or not the name ends so.
   */
  struct shmetrics_str name;
  /**
   * What it means, for people; may be empty. The help of the registration that makes the family
   * is shown; another one is no conflict.
   */
  struct shmetrics_str help;
  /**
   * The base unit, such as `seconds`, in which the name must end; may be empty.
   */
  struct shmetrics_str unit;
  /**
   * The label names: any UTF-8, as the metric's name.
   */
  const struct shmetrics_str *label_names;
  /**
   * How many; 0 for a metric without labels.
   */
  size_t label_count;
  /**
   * A histogram's rising upper bounds; `+Inf` is added by itself. NULL for Prometheus' default
   * ones, or for none where there are native buckets.
   */
  const double *buckets;
  /**
   * How many.
   */
  size_t bucket_count;
  /**
   * The states of a state set or an enum.
   */
  const struct shmetrics_str *states;
  /**
   * How many, up to 64.
   */
  size_t state_count;
  /**
   * The most series; further label sets share one overflow series. 0 for no limit of its own.
   */
  uint64_t max_series;
  /**
   * Seconds without an update after which a series goes off the pages, and after twice as many
   * is removed; 0 for never.
   */
  uint32_t expire_after;
  /**
   * The least time between two exemplars that a counter or a bucket keeps, in milliseconds; 0
   * for a second.
   */
  uint32_t exemplar_interval_ms;
  /**
   * A summary's quantiles, of 0 to 1, rising: of what all processes together have observed in
   * the last ten minutes. Each is right to 1.1 %. NULL for none.
   */
  const double *quantiles;
  /**
   * How many.
   */
  size_t quantile_count;
  /**
   * A histogram's native buckets, which need no bounds: each is larger than the one before by at
   * most this factor, such as 1.1. 0 for none. With `buckets`, there are both.
   */
  double native_factor;
  /**
   * What is at most so far from 0 is counted in the native zero bucket. 0 for 2^-128; a negative
   * number: only 0 itself.
   */
  double native_zero_threshold;
  /**
   * The most native buckets that pages show of a series; beyond that, coarser ones. 0 for 160;
   * UINT32_MAX for no limit.
   */
  uint32_t native_max_buckets;
  /**
   * How long an observation counts in quantiles, in seconds; 0 for ten minutes. It leaves them
   * after half that time to all of it.
   */
  uint32_t quantile_max_age;
  /**
   * A counter is shown under this very name in Prometheus' text formats and in protobuf, without
   * `_total`: for dashboards and rules that name an exporter's counters. OpenMetrics shows it
   * with `_total`. A family registered without it conflicts.
   */
  bool exact_name;
  /**
   * If a family of this name is registered with another definition, this one takes its place, as
   * a reload needs it that has one more label or bucket. The old definition leaves all pages at
   * that instant, and updates through its handles are not done but counted. A process of an
   * earlier generation gets `SHMETRICS_STATUS_CONFLICT`: see `shmetrics_options.generation`.
   * Without `replace`, another definition is `SHMETRICS_STATUS_CONFLICT`. Of one that is as it
   * was, `max_series` and `exemplar_interval_ms` are put in force.
   */
  bool replace;
} shmetrics_family_spec;

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
 * A label.
 */
typedef struct shmetrics_label {
  /**
   * Its name.
   */
  struct shmetrics_str name;
  /**
   * Its value.
   */
  struct shmetrics_str value;
} shmetrics_label;

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
 * A family. All pointers are valid until the next call of `shmetrics_points_next` that gives a
 * point of another family. Later versions may add fields at the end.
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
   * How many there are.
   */
  size_t bound_count;
  /**
   * The states of a state set or an enum.
   */
  const struct shmetrics_str *states;
  /**
   * How many there are.
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
   * How many there are.
   */
  size_t positive_count;
  /**
   * Buckets of negative observations, by the rising index of their size.
   */
  const struct shmetrics_native_bucket *negative;
  /**
   * How many there are.
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
   * How many there are.
   */
  size_t label_count;
  /**
   * What was counted or observed.
   */
  double value;
  /**
   * When, in milliseconds since 1970.
   */
  uint64_t at_ms;
} shmetrics_exemplar;

/**
 * A series as it was at one moment. All pointers are valid until the next call with the same
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
   * How many there are.
   */
  size_t label_count;
  /**
   * When the series began, in nanoseconds since 1970; 0 where that is not known.
   */
  uint64_t began_ns;
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
   * Observations of each bucket of a histogram alone, in one bucket more than there are bounds.
   * A summary, and a histogram that is only native, has one. They are those of `value`.
   */
  const uint64_t *counts;
  /**
   * How many there are.
   */
  size_t bucket_count;
  /**
   * A summary's quantiles.
   */
  const struct shmetrics_quantile *quantiles;
  /**
   * How many there are.
   */
  size_t quantile_count;
  /**
   * For each state of the family, whether it is on.
   */
  const bool *states;
  /**
   * How many there are.
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
   * How many there are.
   */
  size_t exemplar_count;
  /**
   * Whether a counter's value is exact in `whole`: it is, unless a fraction was ever added.
   */
  bool is_whole;
} shmetrics_point;

/**
 * How a page is written. Zero-initialised it is text 0.0.4.
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
   * OpenMetrics 1.0.0 with `_created` samples, each a series more for the scraper.
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
   * Letters, digits and `. _ - : @`; or, with a slash, the path of a file on a tmpfs. Empty:
   * `$SHMETRICS_SEGMENT`, else "default".
   */
  struct shmetrics_str name;
  /**
   * `SHMETRICS_OPEN_OR_CREATE`, `SHMETRICS_CREATE_NEW`, `SHMETRICS_ATTACH` or
   * `SHMETRICS_ANONYMOUS`.
   */
  uint32_t how;
  /**
   * The file mode of a new segment, such as 0640 for scrapers of the same group, or 0660 for
   * processes of the same group that count. 0 for `$SHMETRICS_MODE`, else 0600.
   */
  uint32_t mode;
  /**
   * Bytes a new segment may grow to; 0 for `$SHMETRICS_CEILING`, else 64 MiB.
   */
  uint64_t ceiling;
  /**
   * The most series a new segment takes; 0 for as many as fit.
   */
  uint64_t max_series;
  /**
   * The most processes with gauges of their own at one time.
   */
  uint32_t max_processes;
  /**
   * Not 0: accept a file system that is not tmpfs. Updates may then wait for the disk.
   */
  uint32_t allow_disk;
  /**
   * Not 0: start with a new segment if no process has the old one open for counting any more.
   * For the process that starts a service, and stays: of users that come and go, each would
   * begin anew. Only with `SHMETRICS_OPEN_OR_CREATE`.
   */
  uint32_t reset_if_unused;
  /**
   * `SHMETRICS_PER_CPU_DEFAULT`, or less: whether hot counters and histograms count in cells for each CPU. `$SHMETRICS_RSEQ=0` is
   * `SHMETRICS_PER_CPU_LOCKED` for all.
   */
  uint32_t lanes;
  /**
   * Labels that every series of a new segment has in front of its own. Whoever attaches the
   * segment with labels must give the same; who gives none takes it as it is.
   */
  const struct shmetrics_label *labels;
  /**
   * How many.
   */
  size_t label_count;
  /**
   * The group of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_GROUP`,
   * else this process' group.
   */
  struct shmetrics_str group;
  /**
   * The owner of a new segment's file: a name, or a number in digits. Empty: `$SHMETRICS_OWNER`,
   * else this process' user. Only root may name another user. This process trusts segments of
   * this user.
   */
  struct shmetrics_str owner;
  /**
   * The users, separated by commas, in whose existing segments this process may count, besides
   * root and its own user. Empty: `$SHMETRICS_TRUST`. A segment's owner can cut its file off,
   * which kills the processes that use it.
   */
  struct shmetrics_str trust;
  /**
   * How the text formats show the bounds of buckets and the quantiles of a new segment:
   * `SHMETRICS_BOUNDS_DEFAULT`, or another.
   */
  uint32_t bounds;
  /**
   * Reserved: 0.
   */
  uint32_t reserved;
  /**
   * The number of this process' generation, for hosts that number their reloads: of two
   * processes that replace each other's definition of a family
   * (`shmetrics_family_spec.replace`), the later generation prevails. 0: the time at which this
   * process opened the segment last; forked children have their parent's. Give numbers in all
   * processes of an application, or in none.
   */
  uint64_t generation;
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
 * Several states, each on or off; or an enum, one of several states.
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

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Registers a family of counters, or finds it.
 */
enum shmetrics_status shmetrics_counter_register(struct shmetrics_segment *segment,
                                                 const struct shmetrics_family_spec *spec,
                                                 struct shmetrics_counter_family *family);

/**
 * The counter with these label values, made if there is none. Never fails: see "Label sets" above.
 */
struct shmetrics_counter shmetrics_counter_with(struct shmetrics_counter_family family,
                                                const struct shmetrics_str *values,
                                                size_t count);

/**
 * Removes the counter with these label values, for all processes; its handles then count nowhere.
 * False if there is none. See "Removing label sets" above.
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
 * Adds `v`, and keeps what these labels say of it as an exemplar: `trace_id`, mostly. A counter
 * keeps the latest, and takes a new one no sooner than `exemplar_interval_ms` after the last.
 * Names and values may have 128 characters together. Labels that no page could have are not kept,
 * but noted in `shmetrics_updates_rejected_total`. Of OpenMetrics and protobuf pages.
 */
void shmetrics_counter_add_with_exemplar(struct shmetrics_counter counter,
                                         double v,
                                         const struct shmetrics_label *labels,
                                         size_t count);

/**
 * Adds `v` to the counter of this name and these labels, in one call: for hosts that have no place
 * to keep families and handles between two requests. The labels come in any order; in the family's
 * own it is fastest. What is not there is made, a family without a help text; register it
 * beforehand where it is to have one, or a limit. It costs two look-ups. On an error nothing is
 * counted. A negative, infinite or NaN `v` is `SHMETRICS_STATUS_INVALID_ARGUMENT`, and makes
 * nothing.
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
 * Registers a family of gauges, or finds it. `mode` (a `SHMETRICS_GAUGE_...`) says what the values
 * of several processes amount to.
 */
enum shmetrics_status shmetrics_gauge_register(struct shmetrics_segment *segment,
                                               const struct shmetrics_family_spec *spec,
                                               uint32_t mode,
                                               struct shmetrics_gauge_family *family);

/**
 * Registers a family of metrics of unknown type (`untyped`), or finds it: one value for all
 * processes, of which nothing is known, such as one passed on from elsewhere. It is set as a gauge
 * is.
 */
enum shmetrics_status shmetrics_unknown_register(struct shmetrics_segment *segment,
                                                 const struct shmetrics_family_spec *spec,
                                                 struct shmetrics_gauge_family *family);

/**
 * The gauge with these label values, made if there is none. Never fails: see "Label sets" above.
 */
struct shmetrics_gauge shmetrics_gauge_with(struct shmetrics_gauge_family family,
                                            const struct shmetrics_str *values,
                                            size_t count);

/**
 * Removes the gauge with these label values, for all processes; its handles then count nowhere.
 * False if there is none. See "Removing label sets" above.
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
 * The value now; 0 for an inert handle, and once the gauge is removed. Of a per-process gauge it
 * is this process' own, 0 if that has not set it: a page shows what the values of all processes
 * amount to.
 */
double shmetrics_gauge_value(struct shmetrics_gauge gauge);

/**
 * Registers a family of histograms, or finds it: with classic buckets, and with native ones if
 * `native_factor` is set.
 *
 * ```c
 * shmetrics_histogram_family latency;
 * shmetrics_histogram_register(segment, &(shmetrics_family_spec){
 *     .name = {"latency_seconds", 15}, .unit = {"seconds", 7}, .native_factor = 1.1,
 * }, &latency);
 * shmetrics_histogram_observe(shmetrics_histogram_with(latency, NULL, 0), 0.0042);
 * ```
 *
 * Native buckets are made as they are needed. An observation that finds no room for a new one is
 * not counted, but in `shmetrics_observations_refused_total`.
 */
enum shmetrics_status shmetrics_histogram_register(struct shmetrics_segment *segment,
                                                   const struct shmetrics_family_spec *spec,
                                                   struct shmetrics_histogram_family *family);

/**
 * The histogram with these label values, made if there is none. Never fails: see "Label sets"
 * above.
 */
struct shmetrics_histogram shmetrics_histogram_with(struct shmetrics_histogram_family family,
                                                    const struct shmetrics_str *values,
                                                    size_t count);

/**
 * Removes the histogram with these label values, for all processes; its handles then count
 * nowhere. False if there is none. See "Removing label sets" above.
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
 * Counts one observation. NaN is not counted but noted in `shmetrics_updates_rejected_total`; an
 * infinite value is counted in its bucket and leaves the sum as it is.
 */
void shmetrics_histogram_observe(struct shmetrics_histogram histogram, double v);

/**
 * As `shmetrics_histogram_observe`, and keeps what these labels say of it as its bucket's
 * exemplar, as `shmetrics_counter_add_with_exemplar` does. Not for summaries.
 */
void shmetrics_histogram_observe_with_exemplar(struct shmetrics_histogram histogram,
                                               double v,
                                               const struct shmetrics_label *labels,
                                               size_t count);

/**
 * Counts one observation of the histogram of this name and these labels, as
 * `shmetrics_counter_add_named` adds. One that is made has the default buckets. NaN is
 * `SHMETRICS_STATUS_INVALID_ARGUMENT`.
 */
enum shmetrics_status shmetrics_histogram_observe_named(struct shmetrics_segment *segment,
                                                        struct shmetrics_str name,
                                                        const struct shmetrics_label *labels,
                                                        size_t count,
                                                        double v);

/**
 * The time now, for `shmetrics_histogram_observe_since`: nanoseconds of the monotonic clock.
 */
uint64_t shmetrics_timer_start(void);

/**
 * Observes the seconds since `start`, which `shmetrics_timer_start` gave.
 */
void shmetrics_histogram_observe_since(struct shmetrics_histogram histogram, uint64_t start);

/**
 * As `shmetrics_counter_with`, for foreign-function interfaces that cannot pass structs by value:
 * handles go by pointer, and `*counter` becomes the handle. All calls that end in `_p` are such. A
 * NULL pointer to a handle does nothing.
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
void shmetrics_histogram_observe_since_p(const struct shmetrics_histogram *histogram, uint64_t start);

/**
 * Reads the cursor's page as values instead of text: each series as it is at the moment it is read, a family complete before the next,
 * the library's own families last. `shmetrics_cursor_add_filter` says beforehand which families; the format does not matter, and names
 * are as they were registered. At most some hundred series are held at a time. On success the cursor is freed.
 */
enum shmetrics_status shmetrics_cursor_points(struct shmetrics_cursor *cursor,
                                              struct shmetrics_points **points);

/**
 * Reads the next series. `*point` becomes NULL behind the last one.
 */
enum shmetrics_status shmetrics_points_next(struct shmetrics_points *points,
                                            const struct shmetrics_point **point);

/**
 * Frees points; NULL is ignored. Of a reader's page, before the reader.
 */
void shmetrics_points_free(struct shmetrics_points *points);

/**
 * Attaches to a segment, read-only. An empty name: `$SHMETRICS_SEGMENT`, else "default".
 */
enum shmetrics_status shmetrics_reader_open(struct shmetrics_str name, struct shmetrics_reader **reader);

/**
 * Frees a reader; NULL is ignored. Its cursors must have been freed.
 */
void shmetrics_reader_free(struct shmetrics_reader *reader);

/**
 * Renders a page into `buffer`. `*length` becomes the page's length also when `capacity` is too
 * small for it: then nothing is written, and the status is `SHMETRICS_STATUS_FULL`. The page may
 * have grown by the next call: leave some room.
 */
enum shmetrics_status shmetrics_reader_render(const struct shmetrics_reader *reader,
                                              char *buffer,
                                              size_t capacity,
                                              size_t *length);

/**
 * As `shmetrics_reader_render`, from a segment this process writes to.
 */
enum shmetrics_status shmetrics_segment_render(const struct shmetrics_segment *segment,
                                               char *buffer,
                                               size_t capacity,
                                               size_t *length);

/**
 * Begins a page that is rendered a piece at a time. The segment's mapping stays, so the cursor may
 * be used at any time.
 */
enum shmetrics_status shmetrics_segment_cursor(const struct shmetrics_segment *segment,
                                               struct shmetrics_cursor **cursor);

/**
 * Begins a page that is rendered a piece at a time. Free the cursor before the reader.
 */
enum shmetrics_status shmetrics_reader_cursor(const struct shmetrics_reader *reader,
                                              struct shmetrics_cursor **cursor);

/**
 * What to answer to a scraper that sends this `Accept` header; an empty one if it sends none.
 * Never fails: without anything better it is text 0.0.4.
 */
struct shmetrics_exposition shmetrics_negotiate(struct shmetrics_str accept);

/**
 * The `Content-Type` of a page that is so written. NULL if there is no such format or escaping.
 */
const char *shmetrics_exposition_content_type(struct shmetrics_exposition exposition);

/**
 * Whether to compress the answer to a request with this `Accept-Encoding` header by gzip. Send
 * `Vary: Accept, Accept-Encoding` in any case.
 */
bool shmetrics_accepts_gzip(struct shmetrics_str accept_encoding);

/**
 * Says how the cursor's page is written; without it, it is text 0.0.4. To be called before its
 * first bytes are taken.
 */
enum shmetrics_status shmetrics_cursor_set_exposition(struct shmetrics_cursor *cursor,
                                              struct shmetrics_exposition exposition);

/**
 * Adds to the names of samples whose families the cursor's page is to have, as scrapers ask for by
 * `name[]`; without any it has all. A name may be as it was registered, or as the page shows it.
 * To be called before its first bytes are taken.
 */
enum shmetrics_status shmetrics_cursor_add_filter(struct shmetrics_cursor *cursor,
                                            struct shmetrics_str name);

/**
 * Copies the next bytes of the page to `buffer` and returns how many; 0 once the page is complete.
 * Any capacity will do, down to one byte.
 */
size_t shmetrics_cursor_read(struct shmetrics_cursor *cursor,
                             char *buffer,
                             size_t capacity);

/**
 * Frees a cursor; NULL is ignored.
 */
void shmetrics_cursor_free(struct shmetrics_cursor *cursor);

/**
 * The `Content-Type` of a page in the text format 0.0.4. Prometheus 3 refuses a page without it.
 */
const char *shmetrics_content_type(void);

/**
 * The library's version, such as "0.1.0".
 */
const char *shmetrics_version(void);

/**
 * Sets the defaults of the first release's fields, for programs that do not say how large their
 * struct is. In C and C++ a macro of this name stands for `shmetrics_options_init_sized`, which
 * sets all.
 */
void shmetrics_options_init(struct shmetrics_options *options);

/**
 * Sets the defaults of a struct of `size` bytes: `sizeof(shmetrics_options)` where it is compiled.
 */
void shmetrics_options_init_sized(struct shmetrics_options *options, size_t size);

/**
 * Opens a segment. `options` may be NULL for the defaults. Opening the same segment again gives
 * the same pointer, from any thread and by any path; in a forked child too, also where it may not
 * open the file any more.
 */
enum shmetrics_status shmetrics_segment_open(const struct shmetrics_options *options,
                                             struct shmetrics_segment **segment);

/**
 * Removes a segment's name. Processes that have it mapped go on with the memory, unseen. Only
 * segments are removed; by its plain name also a damaged one is.
 */
enum shmetrics_status shmetrics_segment_remove(struct shmetrics_str name);

/**
 * Takes the family of this name off all pages, for all processes. `*unregistered`, unless it is
 * NULL, says whether there was one. Updates through its handles are not done but counted, and the
 * name may be registered anew. `SHMETRICS_STATUS_CONFLICT`: a process of a later generation has
 * registered it. To put another definition in its place, register that with `replace`.
 */
enum shmetrics_status shmetrics_unregister(struct shmetrics_segment *segment,
                                           struct shmetrics_str name,
                                           bool *unregistered);

/**
 * Gives this process a number of its own for the label `pid` of per-process gauges, such as a
 * worker number. Call it in the worker, before its first gauge update.
 */
enum shmetrics_status shmetrics_segment_set_identity(struct shmetrics_segment *segment, uint32_t identity);

/**
 * Takes part in the segment's per-process gauges now, instead of at this process' first update of
 * one. Updates do this by themselves. A process calls this where its first update would be too
 * late, as before it installs a filter that denies system calls, or to learn the reason if it
 * cannot. Repeated calls do nothing. Forked children take part for themselves.
 *
 * `SHMETRICS_STATUS_FULL`: as many processes as the segment has room for (`max_processes`) take
 * part already. `SHMETRICS_STATUS_PERMISSION` or `SHMETRICS_STATUS_SYSTEM`: the system denies both
 * what a process needs for it: to open the segment's file once more, and to make a System V shared
 * memory segment.
 */
enum shmetrics_status shmetrics_segment_attach_process(struct shmetrics_segment *segment);

/**
 * Expires the series of families with `expire_after` that no process has updated for that time,
 * and returns how many went off the pages. Rendering a page of the segment does so by itself; call
 * this where only read-only readers render.
 */
uint64_t shmetrics_segment_expire(struct shmetrics_segment *segment);

/**
 * For hooks that tell of a child's death, which other libraries want called. You never need it:
 * the kernel tells who lives, so nothing is marked, and no call can harm a living process. True if
 * no living process with this pid (in the caller's PID namespace) has gauges of its own in the
 * segment.
 */
bool shmetrics_segment_mark_dead(struct shmetrics_segment *segment, uint32_t pid);

/**
 * Whether the segment's name still leads to it: it has not been removed or replaced. If it has,
 * this process counts where new processes and exporters do not look, until it is restarted. True
 * also where the process cannot tell, as after `chroot`, and for anonymous segments.
 */
bool shmetrics_segment_is_current(struct shmetrics_segment *segment);

/**
 * How many processes have the segment open for counting, this one included: forked children and
 * stopped processes too, readers not. -1 if the system does not tell: see "Who has a segment open"
 * in the guide.
 */
int64_t shmetrics_segment_attached(struct shmetrics_segment *segment);

/**
 * Puts into `in_use` whether any process has the segment of this name open for counting, this one
 * included; readers do not count.
 */
enum shmetrics_status shmetrics_segment_is_in_use(struct shmetrics_str name, bool *in_use);

/**
 * Copies what the segment could not take, a sentence for the host's log that says what to do, to
 * `buffer`, cut off to `capacity` with a NUL at its end. Returns its whole length without the NUL;
 * 0 if there is nothing new. Each kind of trouble is told once, to one process of all. Call it now
 * and then, say after each page. `buffer` may be NULL if `capacity` is 0.
 */
size_t shmetrics_segment_next_warning(struct shmetrics_segment *segment,
                                 char *buffer,
                                 size_t capacity);

/**
 * Registers a family of state sets, or finds it: `spec->states` names up to 64 states, each on or
 * off.
 */
enum shmetrics_status shmetrics_state_set_register(struct shmetrics_segment *segment,
                                                   const struct shmetrics_family_spec *spec,
                                                   struct shmetrics_states_family *family);

/**
 * Registers a family of enums, or finds it: `spec->states` names up to 64 states, of which one is
 * on, at first the first.
 */
enum shmetrics_status shmetrics_enum_register(struct shmetrics_segment *segment,
                                              const struct shmetrics_family_spec *spec,
                                              struct shmetrics_states_family *family);

/**
 * The state set or enum with these label values, made if there is none. Never fails: see "Label
 * sets" above.
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
 * Sets a state of a state set, by its place in `spec->states`, on or off. One that there is not is
 * noted in `shmetrics_updates_rejected_total`.
 */
void shmetrics_state_set_set(struct shmetrics_states states, size_t state, bool on);

/**
 * Sets the state of an enum, by its place in `spec->states`. One that there is not is noted in
 * `shmetrics_updates_rejected_total`.
 */
void shmetrics_enum_set(struct shmetrics_states states, size_t state);

/**
 * Registers a family of information in labels, or finds it. Pages show `name_info` with the value
 * 1.
 */
enum shmetrics_status shmetrics_info_register(struct shmetrics_segment *segment,
                                              const struct shmetrics_family_spec *spec,
                                              struct shmetrics_info_family *family);

/**
 * Makes the label set with these values be there. False for an inert family or a wrong number of
 * values.
 */
bool shmetrics_info_with(struct shmetrics_info_family family,
                         const struct shmetrics_str *values,
                         size_t count);

/**
 * Removes the label set with these values. False if there is none.
 */
bool shmetrics_info_remove(struct shmetrics_info_family family,
                           const struct shmetrics_str *values,
                           size_t count);

/**
 * Removes all label sets of the family, and returns how many.
 */
uint64_t shmetrics_info_clear(struct shmetrics_info_family family);

/**
 * A status in words: a static string, for any value.
 */
const char *shmetrics_status_message(uint32_t status);

/**
 * Copies the detail of this thread's last failed call, a sentence that says what to do, to
 * `buffer`, cut off to `capacity` with a NUL at its end. Returns its whole length without the NUL;
 * 0 if no call has failed. `buffer` may be NULL if `capacity` is 0.
 */
size_t shmetrics_last_error(char *buffer, size_t capacity);

/**
 * Registers a family of summaries (the count and the sum of observations, and quantiles if there
 * are `quantiles`), or finds it.
 *
 * ```c
 * const double quantiles[] = {0.5, 0.9, 0.99};
 * shmetrics_summary_family sizes;
 * shmetrics_summary_register(segment, &(shmetrics_family_spec){
 *     .name = {"response_bytes", 14}, .quantiles = quantiles, .quantile_count = 3,
 * }, &sizes);
 * ```
 */
enum shmetrics_status shmetrics_summary_register(struct shmetrics_segment *segment,
                                                 const struct shmetrics_family_spec *spec,
                                                 struct shmetrics_summary_family *family);

/**
 * The summary with these label values, made if there is none. It is a histogram without buckets:
 * observe with `shmetrics_histogram_observe`. Never fails: see "Label sets" above.
 */
struct shmetrics_histogram shmetrics_summary_with(struct shmetrics_summary_family family,
                                                  const struct shmetrics_str *values,
                                                  size_t count);

/**
 * Removes the summary with these label values, for all processes; its handles then count nowhere.
 * False if there is none. See "Removing label sets" above.
 */
bool shmetrics_summary_remove(struct shmetrics_summary_family family,
                              const struct shmetrics_str *values,
                              size_t count);

/**
 * Removes all summaries of the family, and returns how many.
 */
uint64_t shmetrics_summary_clear(struct shmetrics_summary_family family);

/**
 * Registers a family of histograms whose observations can be taken back (by `shmetrics_histogram_unobserve`), such as the ages of
 * the jobs in a queue, or finds it.
 */
enum shmetrics_status shmetrics_gauge_histogram_register(struct shmetrics_segment *segment,
                                                         const struct shmetrics_family_spec *spec,
                                                         struct shmetrics_histogram_family *family);

/**
 * Takes back an observation of `v` that was counted before: for gauge histograms. Of a bucket that
 * is empty nothing is taken, which is noted in `shmetrics_updates_rejected_total`.
 */
void shmetrics_histogram_unobserve(struct shmetrics_histogram histogram,
                                double v);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SHMETRICS_H */

/* Says how large the caller's struct is, so that later releases can have more fields. */
#ifndef shmetrics_options_init
#define shmetrics_options_init(options) shmetrics_options_init_sized(options, sizeof(shmetrics_options))
#endif
