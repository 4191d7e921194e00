// The metrics of shmetrics for C++17: handles that count, and their families. Header only.
//
// shmetrics.hpp includes this header, and has segments, pages and errors. A source file that only
// counts needs no more than this one: no call here can fail, throw or take memory of the process.
#ifndef SHMETRICS_METRICS_HPP
#define SHMETRICS_METRICS_HPP

#include "shmetrics.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <utility>

namespace shmetrics {

// A text that a call reads until it returns: a C string, where NULL is the empty string, or
// whatever converts to std::string_view.
class text_view {
 public:
  constexpr text_view() noexcept = default;
  constexpr text_view(const char* text) noexcept : view_(text ? std::string_view(text) : std::string_view()) {}
  template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view> &&
                                                 !std::is_convertible_v<const Text&, const char*>>>
  constexpr text_view(const Text& text) noexcept : view_(text) {}
  constexpr operator std::string_view() const noexcept { return view_; }

 private:
  std::string_view view_{};
};

// A duration. Every duration of std::chrono converts to it, such as std::chrono::milliseconds(20).
using seconds = std::chrono::duration<double>;

// Names and values: {{"method", "GET"}, {"status", "200"}}.
using labels = std::initializer_list<std::pair<text_view, text_view>>;
// Labels of an observation that stands for others: {{"trace_id", id}}.
using exemplar = labels;

namespace detail {

template <class Text>
constexpr bool is_text = std::is_convertible_v<const Text&, text_view>;

template <class List, class = void>
constexpr bool is_list = false;
template <class List>
constexpr bool is_list<List, std::void_t<decltype(*std::begin(std::declval<const List&>()))>> =
    !is_text<List> && is_text<std::decay_t<decltype(*std::begin(std::declval<const List&>()))>>;

inline shmetrics_str str(text_view text) noexcept {
  const std::string_view view = text;
  return {view.data(), view.size()};
}

// Label values whose number is known at run time.
class values {
 public:
  template <class Iterator>
  values(Iterator first, Iterator last) noexcept {
    for (; first != last; ++first) {
      if (count_ < raw_.size()) raw_[count_] = str(*first);
      if (++count_ > raw_.size()) return;  // the call refuses the number
    }
  }
  const shmetrics_str* data() const noexcept { return count_ <= raw_.size() ? raw_.data() : nullptr; }
  std::size_t size() const noexcept { return count_; }

 private:
  std::array<shmetrics_str, SHMETRICS_MAX_LABELS> raw_;
  std::size_t count_ = 0;
};

// Passes labels to a C call without taking memory.
template <class Call>
auto with_labels(labels pairs, Call call) noexcept {
  // A family has fewer labels, and an exemplar of so many has too many characters.
  std::array<shmetrics_label, SHMETRICS_MAX_EXEMPLAR_CHARACTERS + 1> raw;
  const std::size_t count = std::min(pairs.size(), raw.size());
  std::transform(pairs.begin(), pairs.begin() + count, raw.begin(), [](const auto& pair) {
    return shmetrics_label{str(pair.first), str(pair.second)};
  });
  return call(raw.data(), count);
}

// A C handle by value. A default-constructed one is inert: its updates do nothing.
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

// A sum that only grows. Handles are copied freely, and are valid for the life of the process and
// after fork. So are all handles below.
class counter : public detail::handle<shmetrics_counter> {
 public:
  using handle::handle;
  // Whether the series has been removed: updates do nothing, and `with` makes a new series.
  bool is_removed() const noexcept { return shmetrics_counter_is_removed(raw()); }

  void inc() const noexcept { shmetrics_counter_inc(raw()); }
  // Whole numbers count exactly, also beyond 2^53. A negative, NaN or infinite number is not added,
  // and is counted in shmetrics_updates_rejected_total.
  template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>>>
  void add(Number number) const noexcept {
    if constexpr (std::is_integral_v<Number> && sizeof(Number) <= sizeof(std::uint64_t)) {
      if (number >= Number{0}) return shmetrics_counter_add_u64(raw(), static_cast<std::uint64_t>(number));
    }
    shmetrics_counter_add(raw(), static_cast<double>(number));
  }
  // Keeps the labels as the exemplar of the counter.
  void add_with_exemplar(double number, exemplar pairs) const noexcept {
    detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      shmetrics_counter_add_with_exemplar(raw(), number, all, count);
    });
  }
  double value() const noexcept { return shmetrics_counter_value(raw()); }
  // For hosts whose counters can be set. Scrapers see a lower value as a restart.
  void set(double number) const noexcept { shmetrics_counter_set(raw(), number); }
  void reset() const noexcept { shmetrics_counter_reset(raw()); }

  const counter& operator++() const noexcept {
    inc();
    return *this;
  }
  counter operator++(int) const noexcept {
    inc();
    return *this;
  }
  template <class Number>
  const counter& operator+=(Number number) const noexcept {
    add(number);
    return *this;
  }
};

// Adds one to a gauge for its own lifetime.
class in_progress;

// A value that goes up and down.
class gauge : public detail::handle<shmetrics_gauge> {
 public:
  using handle::handle;
  // Whether the series has been removed: updates do nothing, and `with` makes a new series.
  bool is_removed() const noexcept { return shmetrics_gauge_is_removed(raw()); }

  void set(double number) const noexcept { shmetrics_gauge_set(raw(), number); }
  void add(double number) const noexcept { shmetrics_gauge_add(raw(), number); }
  void inc() const noexcept { shmetrics_gauge_inc(raw()); }
  void dec() const noexcept { shmetrics_gauge_dec(raw()); }
  void set_to_now() const noexcept { shmetrics_gauge_set_to_now(raw()); }  // seconds since 1970
  // Of a per-process gauge, the value of this process.
  double value() const noexcept { return shmetrics_gauge_value(raw()); }
  in_progress track() const noexcept;

  const gauge& operator++() const noexcept {
    inc();
    return *this;
  }
  gauge operator++(int) const noexcept {
    inc();
    return *this;
  }
  const gauge& operator--() const noexcept {
    dec();
    return *this;
  }
  gauge operator--(int) const noexcept {
    dec();
    return *this;
  }
  const gauge& operator+=(double number) const noexcept {
    add(number);
    return *this;
  }
  const gauge& operator-=(double number) const noexcept {
    add(-number);
    return *this;
  }
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

// Observes the seconds of its own lifetime, unless it is stopped earlier or discarded.
class timer;

// The number of observations, and their sum.
struct observations {
  std::uint64_t count = 0;
  double sum = 0;
};

namespace detail {

class observed : public handle<shmetrics_histogram> {
 public:
  using handle::handle;
  // Whether the series has been removed: updates do nothing, and `with` makes a new series.
  bool is_removed() const noexcept { return shmetrics_histogram_is_removed(raw()); }

  void observe(double number) const noexcept { shmetrics_histogram_observe(raw(), number); }
  // The seconds of a duration, such as 20ms.
  void observe(seconds time) const noexcept { observe(time.count()); }
  // Count and sum of the same observations, of all processes.
  observations value() const noexcept {
    observations now;
    shmetrics_histogram_value(raw(), &now.count, &now.sum);
    return now;
  }
};

class states : public handle<shmetrics_states> {
 public:
  using handle::handle;
  bool is_removed() const noexcept { return shmetrics_states_is_removed(raw()); }
};

}  // namespace detail

// A distribution: the counts of its buckets, and their sum.
class histogram : public detail::observed {
 public:
  using observed::observed;
  // Keeps the labels as the exemplar of the bucket.
  void observe_with_exemplar(double number, exemplar pairs) const noexcept {
    detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      shmetrics_histogram_observe_with_exemplar(raw(), number, all, count);
    });
  }
  void observe_with_exemplar(seconds time, exemplar pairs) const noexcept {
    observe_with_exemplar(time.count(), pairs);
  }
  timer start_timer() const noexcept;
};

// The count and the sum of observations.
class summary : public detail::observed {
 public:
  using observed::observed;
  timer start_timer() const noexcept;
};

// A distribution whose observations can be taken back, such as the ages of the jobs in a queue.
class gauge_histogram : public detail::observed {
 public:
  using observed::observed;
  // Takes back an observation of this value, which any process may have made.
  void unobserve(double number) const noexcept { shmetrics_histogram_unobserve(raw(), number); }
  void unobserve(seconds time) const noexcept { unobserve(time.count()); }
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

// Several states, each on or off: those of spec::states, by their index there.
class state_set : public detail::states {
 public:
  using states::states;
  void set(std::size_t state, bool on) const noexcept { shmetrics_state_set_set(raw(), state, on); }
};

// One of the states of spec::states, by its index there; at first the first.
class enumeration : public detail::states {
 public:
  using states::states;
  void set(std::size_t state) const noexcept { shmetrics_enum_set(raw(), state); }
};

// Information in labels, which pages show from `with` until it is removed. False if there is no
// room for it.
class info {
 public:
  constexpr info() noexcept = default;
  explicit constexpr info(bool there) noexcept : there_(there) {}
  explicit operator bool() const noexcept { return there_; }

 private:
  bool there_ = false;
};

// The series of one label set of a bundle. A member has the number of its place in the bundle's
// definition. A number of another type gives an inert handle, and its update does nothing.
class entry : public detail::handle<shmetrics_entry> {
 public:
  using handle::handle;
  shmetrics::counter counter(std::size_t member) const noexcept {
    return shmetrics::counter(shmetrics_entry_counter(raw(), member));
  }
  shmetrics::gauge gauge(std::size_t member) const noexcept {
    return shmetrics::gauge(shmetrics_entry_gauge(raw(), member));
  }
  shmetrics::histogram histogram(std::size_t member) const noexcept {
    return shmetrics::histogram(shmetrics_entry_histogram(raw(), member));
  }
  shmetrics::gauge_histogram gauge_histogram(std::size_t member) const noexcept {
    return shmetrics::gauge_histogram(shmetrics_entry_histogram(raw(), member));
  }
  shmetrics::summary summary(std::size_t member) const noexcept {
    return shmetrics::summary(shmetrics_entry_histogram(raw(), member));
  }
  shmetrics::state_set state_set(std::size_t member) const noexcept {
    return shmetrics::state_set(shmetrics_entry_states(raw(), member));
  }
  shmetrics::enumeration enumeration(std::size_t member) const noexcept {
    return shmetrics::enumeration(shmetrics_entry_states(raw(), member));
  }
  // Updates without a handle: of counters, and of gauges; of gauges; of what observes.
  void add(std::size_t member, double v = 1) const noexcept { shmetrics_entry_add(raw(), member, v); }
  void set(std::size_t member, double v) const noexcept { shmetrics_entry_set(raw(), member, v); }
  void observe(std::size_t member, double v) const noexcept { shmetrics_entry_observe(raw(), member, v); }
  void observe(std::size_t member, seconds time) const noexcept { observe(member, time.count()); }
  // Several of them, in less time than one by one: entry.update({updates::add(requests), ...}).
  void update(std::initializer_list<shmetrics_update> all) const noexcept { update(all.begin(), all.size()); }
  void update(const shmetrics_update* all, std::size_t count) const noexcept {
    shmetrics_entry_update(raw(), all, count);
  }
  bool is_removed() const noexcept { return shmetrics_entry_is_removed(raw()); }
};

// What `entry::update` takes.
namespace updates {

inline shmetrics_update of(std::size_t member, std::uint32_t operation, double v) noexcept {
  // Of a number that no update can have there is no member.
  constexpr std::size_t none = UINT32_MAX;
  shmetrics_update update{std::uint32_t(member < none ? member : none), operation, {}};
  update.amount.v = v;
  return update;
}
inline shmetrics_update add(std::size_t member, double v = 1) noexcept { return of(member, SHMETRICS_UPDATE_ADD, v); }
inline shmetrics_update set(std::size_t member, double v) noexcept { return of(member, SHMETRICS_UPDATE_SET, v); }
inline shmetrics_update observe(std::size_t member, double v) noexcept {
  return of(member, SHMETRICS_UPDATE_OBSERVE, v);
}
inline shmetrics_update observe(std::size_t member, seconds time) noexcept { return observe(member, time.count()); }

}  // namespace updates

namespace detail {

// The C calls of a type of metric.
template <class Family, auto With, auto Remove, auto Clear>
struct calls {
  using family = Family;
  static constexpr auto with = With;
  static constexpr auto remove = Remove;
  static constexpr auto clear = Clear;
};
template <class Metric>
struct calls_of;
template <>
struct calls_of<counter>
    : calls<shmetrics_counter_family, shmetrics_counter_with, shmetrics_counter_remove, shmetrics_counter_clear> {};
template <>
struct calls_of<gauge>
    : calls<shmetrics_gauge_family, shmetrics_gauge_with, shmetrics_gauge_remove, shmetrics_gauge_clear> {};
template <>
struct calls_of<histogram> : calls<shmetrics_histogram_family, shmetrics_histogram_with, shmetrics_histogram_remove,
                                   shmetrics_histogram_clear> {};
template <>
struct calls_of<gauge_histogram> : calls_of<histogram> {};
template <>
struct calls_of<summary>
    : calls<shmetrics_summary_family, shmetrics_summary_with, shmetrics_summary_remove, shmetrics_summary_clear> {};
template <>
struct calls_of<state_set>
    : calls<shmetrics_states_family, shmetrics_states_with, shmetrics_states_remove, shmetrics_states_clear> {};
template <>
struct calls_of<enumeration> : calls_of<state_set> {};
template <>
struct calls_of<entry>
    : calls<shmetrics_bundle, shmetrics_bundle_with, shmetrics_bundle_remove, shmetrics_bundle_clear> {};
template <>
struct calls_of<info> : calls<shmetrics_info_family, shmetrics_info_with, shmetrics_info_remove, shmetrics_info_clear> {
};

}  // namespace detail

// A metric name with its label names. `with` finds the handle of a set of label values, and makes
// the series at first sight. A full segment gives the overflow series, and a wrong number of values
// an inert handle. `remove` ends a series for all processes; false if there is none.
//
// Both take values one by one, as a list in braces, as a container, or as a pointer and a number:
// with("GET", "/"), with({"GET", "/"}), with(strings), with(strings.data(), strings.size()).
template <class Metric>
class family : public detail::handle<typename detail::calls_of<Metric>::family> {
  using calls = detail::calls_of<Metric>;

 public:
  using detail::handle<typename calls::family>::handle;

  template <class... Values, class = std::enable_if_t<(detail::is_text<Values> && ...)>>
  Metric with(const Values&... values) const noexcept {
    const std::array<shmetrics_str, sizeof...(Values)> raw{{detail::str(values)...}};
    return find(raw);
  }
  Metric with(std::initializer_list<text_view> values) const noexcept {
    return find(detail::values(values.begin(), values.end()));
  }
  template <class List, class = std::enable_if_t<detail::is_list<List>>>
  Metric with(const List& values) const noexcept {
    return find(detail::values(std::begin(values), std::end(values)));
  }
  template <class Text, class = std::enable_if_t<detail::is_text<Text>>>
  Metric with(const Text* values, std::size_t count) const noexcept {
    return find(detail::values(values, values + count));
  }

  template <class... Values, class = std::enable_if_t<(detail::is_text<Values> && ...)>>
  bool remove(const Values&... values) const noexcept {
    const std::array<shmetrics_str, sizeof...(Values)> raw{{detail::str(values)...}};
    return drop(raw);
  }
  bool remove(std::initializer_list<text_view> values) const noexcept {
    return drop(detail::values(values.begin(), values.end()));
  }
  template <class List, class = std::enable_if_t<detail::is_list<List>>>
  bool remove(const List& values) const noexcept {
    return drop(detail::values(std::begin(values), std::end(values)));
  }
  template <class Text, class = std::enable_if_t<detail::is_text<Text>>>
  bool remove(const Text* values, std::size_t count) const noexcept {
    return drop(detail::values(values, values + count));
  }
  // Removes all series that are there now, and returns their number.
  std::uint64_t clear() const noexcept { return calls::clear(this->raw()); }

 private:
  template <class Values>
  Metric find(const Values& values) const noexcept {
    return Metric(calls::with(this->raw(), values.data(), values.size()));
  }
  template <class Values>
  bool drop(const Values& values) const noexcept {
    return calls::remove(this->raw(), values.data(), values.size());
  }
};

using counter_family = family<counter>;
using gauge_family = family<gauge>;
using histogram_family = family<histogram>;
using summary_family = family<summary>;
using gauge_histogram_family = family<gauge_histogram>;
using state_set_family = family<state_set>;
using enumeration_family = family<enumeration>;
using info_family = family<info>;
// Metrics with the same labels: `with` finds the series of all of them.
using bundle = family<entry>;

}  // namespace shmetrics

#endif  // SHMETRICS_METRICS_HPP
