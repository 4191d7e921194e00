// shmetrics for C++17: value handles, RAII guards and errors over shmetrics.h, header only.
//
//   auto segment  = shmetrics::segment::open("shop"); auto requests =
//   segment.register_counter({"http_requests_total", "Requests served.", {"method", "status"}});
//   auto ok       = requests.with({"GET", "200"});   // look a label set up once, keep the handle
//   ok.inc();                                        // no lock, no allocation, async-signal-safe
//
// What can fail comes twice: open() throws shmetrics::error, try_open() returns a
// shmetrics::result. A host built without exceptions sees only the second form. Updates cannot fail
// and are noexcept. Link with the C library.
#ifndef SHMETRICS_HPP
#define SHMETRICS_HPP

#include "shmetrics.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace shmetrics {

// Why a call failed; `error::what()` says what to do about it.
enum class status_code : std::uint32_t {
  ok = SHMETRICS_STATUS_OK,
  null_argument = SHMETRICS_STATUS_NULL_ARGUMENT,
  invalid_argument = SHMETRICS_STATUS_INVALID_ARGUMENT,
  invalid_name = SHMETRICS_STATUS_INVALID_NAME,
  not_found = SHMETRICS_STATUS_NOT_FOUND,
  already_exists = SHMETRICS_STATUS_ALREADY_EXISTS,
  permission = SHMETRICS_STATUS_PERMISSION,
  not_tmpfs = SHMETRICS_STATUS_NOT_TMPFS,
  not_a_segment = SHMETRICS_STATUS_NOT_A_SEGMENT,
  wrong_version = SHMETRICS_STATUS_WRONG_VERSION,
  no_space = SHMETRICS_STATUS_NO_SPACE,
  full = SHMETRICS_STATUS_FULL,
  conflict = SHMETRICS_STATUS_CONFLICT,
  unsupported = SHMETRICS_STATUS_UNSUPPORTED,
  system = SHMETRICS_STATUS_SYSTEM,
  panic = SHMETRICS_STATUS_PANIC,
  no_memory = SHMETRICS_STATUS_NO_MEMORY,
  buffer_too_small = SHMETRICS_STATUS_BUFFER_TOO_SMALL,
};

// How the per-process values of a gauge become one page; `shared` is a single cell that everyone
// writes.
enum class gauge_mode : std::uint32_t {
  shared = SHMETRICS_GAUGE_SHARED,
  all = SHMETRICS_GAUGE_ALL,
  liveall = SHMETRICS_GAUGE_LIVEALL,
  sum = SHMETRICS_GAUGE_SUM,
  livesum = SHMETRICS_GAUGE_LIVESUM,
  min = SHMETRICS_GAUGE_MIN,
  livemin = SHMETRICS_GAUGE_LIVEMIN,
  max = SHMETRICS_GAUGE_MAX,
  livemax = SHMETRICS_GAUGE_LIVEMAX,
  mostrecent = SHMETRICS_GAUGE_MOSTRECENT,
  livemostrecent = SHMETRICS_GAUGE_LIVEMOSTRECENT,
};

// A failed call: its status, and in what() a sentence that says what to do.
class error : public std::runtime_error {
 public:
  error(status_code status, const std::string& message) : std::runtime_error(message), status_(status) {}
  status_code status() const noexcept { return status_; }

 private:
  status_code status_;
};

// A value or the error that stands in its place. `*` and `->` need a value, error() needs an error:
// test first.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(shmetrics::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const noexcept { return *std::get_if<0>(&state_); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  const shmetrics::error& error() const noexcept { return *std::get_if<1>(&state_); }
#ifdef __cpp_exceptions
  // The value, moved out; throws the error if there is none.
  T value() && {
    if (!*this) throw *std::get_if<1>(&state_);
    return std::move(**this);
  }
#endif

 private:
  std::variant<T, shmetrics::error> state_;
};

// The result of a call that returns nothing else.
using outcome = result<std::monostate>;

namespace detail {

inline shmetrics_str str(std::string_view text) noexcept { return {text.data(), text.size()}; }

inline std::vector<shmetrics_str> strs(const std::vector<std::string_view>& texts) {
  std::vector<shmetrics_str> out(texts.size());
  std::transform(texts.begin(), texts.end(), out.begin(), str);
  return out;
}

// The error of the call that just failed in this thread.
inline error last_error(shmetrics_status status) {
  std::string message(shmetrics_last_error(nullptr, 0) + 1, '\0');  // C writes a NUL too
  message.resize(std::min(shmetrics_last_error(message.data(), message.size()), message.size() - 1));
  if (message.empty()) message = shmetrics_status_message(status);
  return {static_cast<status_code>(status), message};
}

inline outcome check(shmetrics_status status) {
  if (status != SHMETRICS_STATUS_OK) return last_error(status);
  return std::monostate{};
}

// A C handle by value. Default-made it is inert: updates do nothing.
template <class Raw>
class handle {
 public:
  constexpr handle() noexcept = default;
  explicit constexpr handle(Raw raw) noexcept : raw_(raw) {}
  constexpr Raw raw() const noexcept { return raw_; }

 private:
  Raw raw_{};
};

}  // namespace detail

// Names and values: {{"method", "GET"}, {"status", "200"}}.
using labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
// Labels that say what an observation was an example of: {{"trace_id", id}}.
using exemplar = labels;

namespace detail {

// Hands labels to a C call, without allocation.
template <class Call>
auto with_labels(labels labels, Call call) noexcept {
  // So many are refused, however many more follow: a family has fewer labels, and an exemplar of
  // them more than 128 characters.
  std::array<shmetrics_label, 129> raw;
  const std::size_t count = std::min(labels.size(), raw.size());
  std::transform(labels.begin(), labels.begin() + count, raw.begin(),
                 [](const auto& label) { return shmetrics_label{str(label.first), str(label.second)}; });
  return call(raw.data(), count);
}

}  // namespace detail

// A sum that only grows. Copy it freely, keep it for the process' life and across fork; so for
// every handle below.
class counter : public detail::handle<shmetrics_counter> {
 public:
  using handle::handle;
  using family_handle = shmetrics_counter_family;
  static counter find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return counter(shmetrics_counter_with(family, values, count));
  }
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_counter_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_counter_clear(family); }
  // Whether the series has been removed: updates count nowhere, and `with` makes a new one.
  bool is_removed() const noexcept { return shmetrics_counter_is_removed(raw()); }

  void inc() const noexcept { shmetrics_counter_inc(raw()); }
  // Whole numbers count exactly, beyond 2^53 too. Negative, NaN and infinite ones are ignored, and
  // counted as rejected.
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>>>
  void add(Number number) const noexcept {
    if constexpr (std::is_integral_v<Number>) {
      if (number >= Number{0}) return shmetrics_counter_add_u64(raw(), static_cast<std::uint64_t>(number));
    }
    shmetrics_counter_add(raw(), static_cast<double>(number));
  }
  // Keeps the labels as the counter's exemplar, at most one in spec::exemplar_interval_seconds.
  void add_with_exemplar(double number, exemplar pairs) const noexcept {
    detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      shmetrics_counter_add_with_exemplar(raw(), number, all, count);
    });
  }
  double value() const noexcept { return shmetrics_counter_value(raw()); }

  const counter& operator++() const noexcept { inc(); return *this; }
  counter operator++(int) const noexcept { inc(); return *this; }
  template <class Number>
  const counter& operator+=(Number number) const noexcept { add(number); return *this; }
};

// Adds one to a gauge for its own lifetime.
class in_progress;

// A value that goes up and down.
class gauge : public detail::handle<shmetrics_gauge> {
 public:
  using handle::handle;
  using family_handle = shmetrics_gauge_family;
  static gauge find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return gauge(shmetrics_gauge_with(family, values, count));
  }
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_gauge_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_gauge_clear(family); }
  // Whether the series has been removed: updates count nowhere, and `with` makes a new one.
  bool is_removed() const noexcept { return shmetrics_gauge_is_removed(raw()); }

  void set(double value) const noexcept { shmetrics_gauge_set(raw(), value); }
  void add(double value) const noexcept { shmetrics_gauge_add(raw(), value); }
  void inc() const noexcept { shmetrics_gauge_inc(raw()); }
  void dec() const noexcept { shmetrics_gauge_dec(raw()); }
  void set_to_now() const noexcept { shmetrics_gauge_set_to_now(raw()); }  // Unix time, in seconds
  in_progress track() const noexcept;

  const gauge& operator++() const noexcept { inc(); return *this; }
  gauge operator++(int) const noexcept { inc(); return *this; }
  const gauge& operator--() const noexcept { dec(); return *this; }
  gauge operator--(int) const noexcept { dec(); return *this; }
};

class [[nodiscard]] in_progress {
 public:
  explicit in_progress(gauge target) noexcept : target_(target) { target_.inc(); }
  in_progress(in_progress&& other) noexcept : target_(std::exchange(other.target_, gauge())) {}
  in_progress& operator=(in_progress&&) = delete;
  ~in_progress() { target_.dec(); }

 private:
  gauge target_;
};

inline in_progress gauge::track() const noexcept { return in_progress(*this); }

// Observes the seconds of its own lifetime, unless stopped earlier or discarded.
class timer;

// A distribution: counts per bucket, and their sum.
class histogram : public detail::handle<shmetrics_histogram> {
 public:
  using handle::handle;
  using family_handle = shmetrics_histogram_family;
  static histogram find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return histogram(shmetrics_histogram_with(family, values, count));
  }
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_histogram_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_histogram_clear(family); }
  // Whether the series has been removed: updates count nowhere, and `with` makes a new one.
  bool is_removed() const noexcept { return shmetrics_histogram_is_removed(raw()); }

  void observe(double value) const noexcept { shmetrics_histogram_observe(raw(), value); }
  // Keeps the labels as the bucket's exemplar, at most one in spec::exemplar_interval_seconds.
  void observe_with_exemplar(double value, exemplar pairs) const noexcept {
    detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      shmetrics_histogram_observe_with_exemplar(raw(), value, all, count);
    });
  }
  timer start_timer() const noexcept;
};

// The count and the sum of observations.
class summary : public detail::handle<shmetrics_histogram> {
 public:
  using handle::handle;
  using family_handle = shmetrics_summary_family;
  static summary find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return summary(shmetrics_summary_with(family, values, count));
  }
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_summary_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_summary_clear(family); }
  bool is_removed() const noexcept { return shmetrics_histogram_is_removed(raw()); }

  void observe(double value) const noexcept { shmetrics_histogram_observe(raw(), value); }
  timer start_timer() const noexcept;
};

// A distribution whose observations can be taken back, such as the ages of the jobs in a queue.
class gauge_histogram : public detail::handle<shmetrics_histogram> {
 public:
  using handle::handle;
  using family_handle = shmetrics_histogram_family;
  static gauge_histogram find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return gauge_histogram(shmetrics_histogram_with(family, values, count));
  }
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_histogram_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_histogram_clear(family); }
  bool is_removed() const noexcept { return shmetrics_histogram_is_removed(raw()); }

  void observe(double value) const noexcept { shmetrics_histogram_observe(raw(), value); }
  // Takes back an observation of this value, by whichever process it was made.
  void unobserve(double value) const noexcept { shmetrics_histogram_unobserve(raw(), value); }
};

namespace detail {

class states : public handle<shmetrics_states> {
 public:
  using handle::handle;
  using family_handle = shmetrics_states_family;
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_states_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_states_clear(family); }
  bool is_removed() const noexcept { return shmetrics_states_is_removed(raw()); }
};

}  // namespace detail

// Several states, each on or off: those of spec::states, by their places there.
class state_set : public detail::states {
 public:
  using states::states;
  static state_set find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return state_set(shmetrics_states_with(family, values, count));
  }
  void set(std::size_t state, bool on) const noexcept { shmetrics_state_set_set(raw(), state, on); }
};

// One of the states of spec::states, by its place there; at first the first.
class enumeration : public detail::states {
 public:
  using states::states;
  static enumeration find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return enumeration(shmetrics_states_with(family, values, count));
  }
  void set(std::size_t state) const noexcept { shmetrics_enum_set(raw(), state); }
};

// Information in labels: there from `with` on, until it is removed. False if it could not be.
class info {
 public:
  constexpr info() noexcept = default;
  using family_handle = shmetrics_info_family;
  static info find(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return info(shmetrics_info_with(family, values, count));
  }
  static bool remove(family_handle family, const shmetrics_str* values, std::size_t count) noexcept {
    return shmetrics_info_remove(family, values, count);
  }
  static std::uint64_t clear(family_handle family) noexcept { return shmetrics_info_clear(family); }
  explicit operator bool() const noexcept { return there_; }

 private:
  explicit info(bool there) noexcept : there_(there) {}
  bool there_ = false;
};

class [[nodiscard]] timer {
 public:
  explicit timer(histogram target) noexcept : target_(target), start_(shmetrics_timer_start()) {}
  timer(timer&& other) noexcept : target_(std::exchange(other.target_, histogram())), start_(other.start_) {}
  timer& operator=(timer&&) = delete;
  ~timer() { stop(); }

  void stop() noexcept { shmetrics_histogram_observe_since(std::exchange(target_, histogram()).raw(), start_); }
  void discard() noexcept { target_ = histogram(); }

 private:
  histogram target_;
  std::uint64_t start_;
};

inline timer histogram::start_timer() const noexcept { return timer(*this); }
inline timer summary::start_timer() const noexcept { return timer(histogram(raw())); }

// A metric name with its label names. `with` finds the handle of a set of label values, creating
// the series at first sight; a full segment gives the overflow series, a wrong number of values an
// inert handle.
template <class Metric>
class family : public detail::handle<typename Metric::family_handle> {
 public:
  using detail::handle<typename Metric::family_handle>::handle;

  // with("GET", "/", "200"); with() for a family that has no labels
  template <class... Values, class = std::enable_if_t<(std::is_convertible_v<const Values&, std::string_view> && ...)>>
  Metric with(const Values&... values) const noexcept {
    const std::array<shmetrics_str, sizeof...(Values)> raw{{detail::str(std::string_view(values))...}};
    return Metric::find(this->raw(), raw.data(), raw.size());
  }
  // with({"GET", "/", "200"})
  Metric with(std::initializer_list<std::string_view> values) const noexcept {
    return with(values.begin(), values.size());
  }
  Metric with(const std::string_view* values, std::size_t count) const noexcept {
    std::array<shmetrics_str, 64> raw;  // no family has more labels
    if (count > raw.size()) return Metric::find(this->raw(), nullptr, count);
    std::transform(values, values + count, raw.begin(), detail::str);
    return Metric::find(this->raw(), raw.data(), count);
  }

  // remove("GET", "/", "200"): for all processes, from now on. False if there is no such series.
  template <class... Values, class = std::enable_if_t<(std::is_convertible_v<const Values&, std::string_view> && ...)>>
  bool remove(const Values&... values) const noexcept {
    const std::array<shmetrics_str, sizeof...(Values)> raw{{detail::str(std::string_view(values))...}};
    return Metric::remove(this->raw(), raw.data(), raw.size());
  }
  // All series that are there now; how many there were.
  std::uint64_t clear() const noexcept { return Metric::clear(this->raw()); }
};

using counter_family = family<counter>;
using gauge_family = family<gauge>;
using histogram_family = family<histogram>;
using summary_family = family<summary>;
using gauge_histogram_family = family<gauge_histogram>;
using state_set_family = family<state_set>;
using enumeration_family = family<enumeration>;
using info_family = family<info>;

// What to register: {"name", "help", {"label", ...}}, or by name in C++20. The texts need to live
// only for the call.
struct spec {
  std::string_view name{};
  std::string_view help{};
  std::vector<std::string_view> labels{};
  std::string_view unit{};
  std::vector<double> buckets{};           // histograms; none: the Prometheus defaults
  std::uint64_t max_series = 0;            // 0: no limit of its own
  double expire_after_seconds = 0;         // without an update; 0: never
  std::vector<std::string_view> states{};  // state sets and enumerations
  double exemplar_interval_seconds = 0;    // 0: a second
  double native_factor = 0;                // histograms: growth of buckets, such as 1.1; 0: none
  double native_zero_threshold = 0;        // 0: 2^-128; negative: only 0 is zero
  std::uint32_t native_max_buckets = 0;    // on pages; 0: 160
  std::vector<double> quantiles{};         // summaries: of all processes, each right to 1.1 %
  double quantile_max_age_seconds = 0;     // that they look back; 0: ten minutes
  bool exact_name = false;                 // counters: text and protobuf do not add _total
  bool replace = false;                    // takes the place of another definition
};

// An exposition format.
enum class format : std::uint32_t {
  text = SHMETRICS_FORMAT_TEXT,    // 0.0.4
  text1 = SHMETRICS_FORMAT_TEXT1,  // 1.0.0
  openmetrics = SHMETRICS_FORMAT_OPENMETRICS,
  openmetrics2 = SHMETRICS_FORMAT_OPENMETRICS2,
  protobuf = SHMETRICS_FORMAT_PROTOBUF,
};

// What becomes of characters of names that not every scraper takes.
enum class escaping : std::uint32_t {
  unnamed = SHMETRICS_ESCAPING_DEFAULT,  // as underscores, but not said in the content type
  underscores = SHMETRICS_ESCAPING_UNDERSCORES,
  dots = SHMETRICS_ESCAPING_DOTS,
  values = SHMETRICS_ESCAPING_VALUES,
  allow_utf8 = SHMETRICS_ESCAPING_ALLOW_UTF8,
};

// How a page is written; default-made, as text 0.0.4.
class exposition {
 public:
  exposition(format as = format::text, escaping names = escaping::unnamed) noexcept {
    raw_.format = static_cast<std::uint32_t>(as);
    raw_.escaping = static_cast<std::uint32_t>(names);
  }
  // What to answer to a scraper that sends this Accept header; an empty one if it sends none.
  static exposition negotiate(std::string_view accept) noexcept {
    exposition negotiated;
    negotiated.raw_ = shmetrics_negotiate(detail::str(accept));
    return negotiated;
  }
  // OpenMetrics 1.0.0 with _created samples.
  exposition& created(bool yes = true) noexcept { raw_.created = yes; return *this; }
  // Ends in a NUL. Empty if there is no such format or escaping.
  std::string_view content_type() const noexcept {
    const char* type = shmetrics_exposition_content_type(raw_);
    return type != nullptr ? type : "";
  }
  const shmetrics_exposition& raw() const noexcept { return raw_; }

 private:
  shmetrics_exposition raw_{};
};

// Whether to compress the answer to a request with this Accept-Encoding header by gzip. In any case
// send `Vary: Accept, Accept-Encoding`.
inline bool accepts_gzip(std::string_view accept_encoding) noexcept {
  return shmetrics_accepts_gzip(detail::str(accept_encoding));
}

// Which segment, and how to open it: options("shop").max_size(256 << 20).mode(0640). The defaults
// are those of the C library; an empty name is $SHMETRICS_SEGMENT, else "default". The options keep
// copies of all texts.
class options {
 public:
  options() : options(std::string_view()) {}
  options(std::string_view name) : name_(name) { shmetrics_options_init(&raw_); }
  options(const char* name) : options(name ? std::string_view(name) : std::string_view()) {}
  options(const std::string& name) : options(std::string_view(name)) {}

  options& create_new() noexcept { return choose(SHMETRICS_CREATE_NEW); }  // it must not exist
  options& attach() noexcept { return choose(SHMETRICS_ATTACH); }          // it must exist
  // nameless, for forked children
  options& anonymous() noexcept { return choose(SHMETRICS_ANONYMOUS); }
  options& mode(std::uint32_t file_mode) noexcept { return set(raw_.mode, file_mode); }
  // The owner and the group of a new segment's file: a name, or a number in digits.
  options& owner(std::string_view user) { return set(owner_, user); }
  options& group(std::string_view group) { return set(group_, group); }
  // Users, separated by commas, in whose segments this process may count: see the C header.
  options& trust(std::string_view users) { return set(trust_, users); }
  options& max_size(std::uint64_t bytes) noexcept { return set(raw_.max_size, bytes); }
  options& max_series(std::uint64_t count) noexcept { return set(raw_.max_series, count); }
  options& max_processes(std::uint32_t count) noexcept { return set(raw_.max_processes, count); }
  options& allow_disk() noexcept { return set(raw_.allow_disk, 1); }
  // SHMETRICS_PER_CPU_DEFAULT, _LOCKED or _NONE.
  options& per_cpu(std::uint32_t cells) noexcept { return set(raw_.per_cpu, cells); }
  options& short_bounds(bool yes = true) noexcept {  // le="1" instead of le="1.0" in text
    return set(raw_.bounds, yes ? SHMETRICS_BOUNDS_SHORT : SHMETRICS_BOUNDS_CANONICAL);
  }
  // of a host that numbers its reloads
  options& generation(std::uint64_t number) noexcept { return set(raw_.generation, number); }
  // begin anew if nobody counts any more
  options& reset_if_unused() noexcept { return set(raw_.reset_if_unused, 1); }
  // A label that all series of a new segment have in front of theirs.
  options& label(std::string_view name, std::string_view value) {
    labels_.emplace_back(name, value);
    return *this;
  }

  // Opens the segment, as C does.
  shmetrics_status open(shmetrics_segment** segment) const {
    std::vector<shmetrics_label> pairs;
    for (const auto& pair : labels_) pairs.push_back({detail::str(pair.first), detail::str(pair.second)});
    shmetrics_options raw = raw_;
    raw.name = detail::str(name_);
    raw.owner = detail::str(owner_);
    raw.group = detail::str(group_);
    raw.trust = detail::str(trust_);
    raw.labels = pairs.data();
    raw.label_count = pairs.size();
    return shmetrics_segment_open(&raw, segment);
  }
  // What excludes each other; NULL if nothing does.
  const char* conflict() const noexcept { return conflict_; }

 private:
  template <class Field, class Value>
  options& set(Field& field, Value value) noexcept(std::is_arithmetic_v<Field>) {
    field = static_cast<Field>(value);
    return *this;
  }
  options& choose(std::uint32_t how) noexcept {
    const auto both = [&](std::uint32_t one, std::uint32_t other) {
      return (raw_.open_mode == one && how == other) || (raw_.open_mode == other && how == one);
    };
    if (both(SHMETRICS_CREATE_NEW, SHMETRICS_ATTACH)) conflict_ = "create_new and attach exclude each other";
    if (both(SHMETRICS_ANONYMOUS, SHMETRICS_ATTACH)) conflict_ = "anonymous and attach exclude each other";
    // An anonymous segment is always new.
    if (!both(SHMETRICS_ANONYMOUS, SHMETRICS_CREATE_NEW) || how == SHMETRICS_ANONYMOUS) raw_.open_mode = how;
    return *this;
  }

  shmetrics_options raw_{};
  std::string name_{}, owner_{}, group_{}, trust_{};
  std::vector<std::pair<std::string, std::string>> labels_{};
  const char* conflict_ = nullptr;
};

// Rendering, common to segment and reader. Every call takes a fresh look and stalls no writer.
template <class Source>
class page_source {
 public:
  // Hands the page over piece by piece as std::string_view; a sink that returns false ends it
  // early. With `only`, the page has the families of samples of these names, as scrapers ask for by
  // `name[]`.
  template <class Sink>
  outcome try_each_chunk(Sink&& sink, std::size_t chunk_bytes = 16 * 1024, const exposition& how = {},
                         const std::vector<std::string_view>& only = {}) const {
    shmetrics_cursor* raw = nullptr;
    shmetrics_status status = static_cast<const Source*>(this)->start_cursor(&raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    const std::unique_ptr<shmetrics_cursor, free_cursor> cursor(raw);
    status = shmetrics_cursor_set_exposition(raw, how.raw());
    for (std::size_t i = 0; status == SHMETRICS_STATUS_OK && i < only.size(); i++) {
      status = shmetrics_cursor_add_filter(raw, detail::str(only[i]));
    }
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    std::vector<char> chunk(std::max<std::size_t>(chunk_bytes, 1));
    while (const std::size_t bytes = shmetrics_cursor_read(raw, chunk.data(), chunk.size())) {
      const std::string_view piece(chunk.data(), bytes);
      if constexpr (std::is_same_v<std::invoke_result_t<Sink&, std::string_view>, bool>) {
        if (!sink(piece)) break;
      } else {
        sink(piece);
      }
    }
    return std::monostate{};
  }
  result<std::string> try_render(const exposition& how = {}, const std::vector<std::string_view>& only = {}) const {
    std::string page;
    auto done = try_each_chunk([&page](std::string_view piece) { page.append(piece); }, 16 * 1024, how, only);
    if (!done) return done.error();
    return page;
  }
#ifdef __cpp_exceptions
  template <class Sink>
  void each_chunk(Sink&& sink, std::size_t chunk_bytes = 16 * 1024, const exposition& how = {},
                  const std::vector<std::string_view>& only = {}) const {
    (void)try_each_chunk(std::forward<Sink>(sink), chunk_bytes, how, only).value();
  }
  std::string render(const exposition& how = {}, const std::vector<std::string_view>& only = {}) const {
    return try_render(how, only).value();
  }
#endif

 private:
  struct free_cursor {
    void operator()(shmetrics_cursor* cursor) const noexcept { shmetrics_cursor_free(cursor); }
  };
};

// A shared-memory segment opened for writing: register families, render. A value that never closes:
// the mapping stays for the process' life, so handles cannot dangle.
class segment : public page_source<segment> {
 public:
  static result<segment> try_open(const options& how = {}) {
    if (const char* conflict = how.conflict()) return error(status_code::invalid_argument, conflict);
    shmetrics_segment* raw = nullptr;
    const shmetrics_status status = how.open(&raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return segment(raw);
  }
  // Takes the name away; processes that have the segment open keep it.
  static outcome try_remove(std::string_view name) {
    return detail::check(shmetrics_segment_remove(detail::str(name)));
  }
  // Whether any process has the segment of this name open for counting, this one included.
  static result<bool> try_is_in_use(std::string_view name) {
    bool in_use = false;
    const shmetrics_status status = shmetrics_segment_is_in_use(detail::str(name), &in_use);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return in_use;
  }
  // Whether the segment's name still leads to it. True also where the process cannot tell.
  bool is_current() const noexcept { return shmetrics_segment_is_current(raw_); }
  // How many processes have it open for counting, this one included. No value where the system does
  // not tell.
  std::optional<std::uint32_t> attached() const noexcept {
    const std::int64_t count = shmetrics_segment_attached(raw_);
    if (count < 0) return std::nullopt;
    return static_cast<std::uint32_t>(count);
  }
  // Takes the family of this name off all pages; says whether there was one. See the C header.
  result<bool> try_unregister(std::string_view name) const {
    bool done = false;
    const shmetrics_status status = shmetrics_unregister(raw_, detail::str(name), &done);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return done;
  }
  // A worker number to stand for this process in gauges instead of its pid; before its first gauge
  // update.
  outcome try_set_identity(std::uint32_t identity) const {
    return detail::check(shmetrics_segment_set_identity(raw_, identity));
  }
  // Takes part in per-process gauges now, instead of at the first update of one: before a system
  // call filter, for instance.
  outcome try_attach_process() const { return detail::check(shmetrics_segment_attach_process(raw_)); }

  // Idempotent, from any process; the same name with another type, labels, unit, buckets or states
  // is a conflict.
  result<counter_family> try_register_counter(const spec& what) const {
    return registered<counter_family, shmetrics_counter_register>(what);
  }
  result<gauge_family> try_register_gauge(const spec& what, gauge_mode mode) const {
    return registered<gauge_family, shmetrics_gauge_register>(what, static_cast<std::uint32_t>(mode));
  }
  result<histogram_family> try_register_histogram(const spec& what) const {
    return registered<histogram_family, shmetrics_histogram_register>(what);
  }
  result<summary_family> try_register_summary(const spec& what) const {
    return registered<summary_family, shmetrics_summary_register>(what);
  }
  result<gauge_histogram_family> try_register_gauge_histogram(const spec& what) const {
    return registered<gauge_histogram_family, shmetrics_gauge_histogram_register>(what);
  }
  // One value for all processes, of which nothing is known; set as a gauge is.
  result<gauge_family> try_register_unknown(const spec& what) const {
    return registered<gauge_family, shmetrics_unknown_register>(what);
  }
  result<state_set_family> try_register_state_set(const spec& what) const {
    return registered<state_set_family, shmetrics_state_set_register>(what);
  }
  result<enumeration_family> try_register_enumeration(const spec& what) const {
    return registered<enumeration_family, shmetrics_enum_register>(what);
  }
  result<info_family> try_register_info(const spec& what) const {
    return registered<info_family, shmetrics_info_register>(what);
  }

  // Updates that name family and labels, in the family's order, for hosts that have no place to
  // keep handles. What is not there is made, without a help text; a histogram with the default
  // buckets. It costs two look-ups. On an error nothing is counted.
  outcome try_count(std::string_view name, labels pairs = {}, double number = 1) const {
    return named<shmetrics_counter_add_named>(name, pairs, number);
  }
  outcome try_observe(std::string_view name, labels pairs, double value) const {
    return named<shmetrics_histogram_observe_named>(name, pairs, value);
  }

#ifdef __cpp_exceptions
  static segment open(const options& how = {}) { return try_open(how).value(); }
  static void remove(std::string_view name) { (void)try_remove(name).value(); }
  static bool is_in_use(std::string_view name) { return try_is_in_use(name).value(); }
  bool unregister(std::string_view name) const { return try_unregister(name).value(); }
  void set_identity(std::uint32_t identity) const { (void)try_set_identity(identity).value(); }
  void attach_process() const { (void)try_attach_process().value(); }
  counter_family register_counter(const spec& what) const { return try_register_counter(what).value(); }
  gauge_family register_gauge(const spec& what, gauge_mode mode) const {
    return try_register_gauge(what, mode).value();
  }
  histogram_family register_histogram(const spec& what) const { return try_register_histogram(what).value(); }
  summary_family register_summary(const spec& what) const { return try_register_summary(what).value(); }
  gauge_histogram_family register_gauge_histogram(const spec& what) const {
    return try_register_gauge_histogram(what).value();
  }
  gauge_family register_unknown(const spec& what) const { return try_register_unknown(what).value(); }
  state_set_family register_state_set(const spec& what) const { return try_register_state_set(what).value(); }
  enumeration_family register_enumeration(const spec& what) const { return try_register_enumeration(what).value(); }
  info_family register_info(const spec& what) const { return try_register_info(what).value(); }
  void count(std::string_view name, labels pairs = {}, double number = 1) const {
    (void)try_count(name, pairs, number).value();
  }
  void observe(std::string_view name, labels pairs, double value) const {
    (void)try_observe(name, pairs, value).value();
  }
#endif

  shmetrics_segment* raw() const noexcept { return raw_; }

 private:
  friend class page_source<segment>;
  explicit segment(shmetrics_segment* raw) noexcept : raw_(raw) {}
  shmetrics_status start_cursor(shmetrics_cursor** cursor) const { return shmetrics_segment_cursor(raw_, cursor); }

  template <auto Update>
  outcome named(std::string_view name, labels pairs, double v) const {
    return detail::check(detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      return Update(raw_, detail::str(name), all, count, v);
    }));
  }

  template <class Family, auto Register, class... Mode>
  result<Family> registered(const spec& what, Mode... mode) const {
    const auto names = detail::strs(what.labels);
    const auto states = detail::strs(what.states);
    shmetrics_family_spec raw{};
    raw.struct_size = sizeof raw;
    raw.name = detail::str(what.name);
    raw.help = detail::str(what.help);
    raw.unit = detail::str(what.unit);
    raw.label_names = names.data();
    raw.label_count = names.size();
    // NULL is what means the defaults
    raw.buckets = what.buckets.empty() ? nullptr : what.buckets.data();
    raw.bucket_count = what.buckets.size();
    raw.states = states.data();
    raw.state_count = states.size();
    raw.max_series = what.max_series;
    raw.expire_after_seconds = what.expire_after_seconds;
    raw.exemplar_interval_seconds = what.exemplar_interval_seconds;
    raw.quantiles = what.quantiles.data();
    raw.quantile_count = what.quantiles.size();
    raw.native_factor = what.native_factor;
    raw.native_zero_threshold = what.native_zero_threshold;
    raw.native_max_buckets = what.native_max_buckets;
    raw.quantile_max_age_seconds = what.quantile_max_age_seconds;
    raw.exact_name = what.exact_name;
    raw.replace = what.replace;
    decltype(Family().raw()) family{};
    const shmetrics_status status = Register(raw_, &raw, mode..., &family);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return Family(family);
  }

  shmetrics_segment* raw_;
};

// A read-only attachment, for a sidecar or a master that only renders. Move-only; unmaps when
// destroyed.
class reader : public page_source<reader> {
 public:
  static result<reader> try_open(std::string_view name = {}) {
    shmetrics_reader* raw = nullptr;
    const shmetrics_status status = shmetrics_reader_open(detail::str(name), &raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return reader(raw);
  }
#ifdef __cpp_exceptions
  static reader open(std::string_view name = {}) { return try_open(name).value(); }
#endif

 private:
  friend class page_source<reader>;
  explicit reader(shmetrics_reader* raw) noexcept : raw_(raw) {}
  shmetrics_status start_cursor(shmetrics_cursor** cursor) const { return shmetrics_reader_cursor(raw_.get(), cursor); }

  struct free_reader {
    void operator()(shmetrics_reader* reader) const noexcept { shmetrics_reader_free(reader); }
  };
  std::unique_ptr<shmetrics_reader, free_reader> raw_;
};

// The Content-Type of a page in text 0.0.4.
inline std::string_view content_type() noexcept { return shmetrics_content_type(); }
// The version of the library that was linked.
inline std::string_view version() noexcept { return shmetrics_version(); }

}  // namespace shmetrics

#endif  // SHMETRICS_HPP
