// Errors and pages of shmetrics for C++17: results, expositions, points, and the classes that read
// them. Header only.
//
// shmetrics.hpp includes this header, and has segments and readers.
#ifndef SHMETRICS_PAGES_HPP
#define SHMETRICS_PAGES_HPP

#include "shmetrics_metrics.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

// A failed call: its status, and in what() a sentence that says what to do.
class error : public std::runtime_error {
 public:
  error(status_code status, const std::string& message) : std::runtime_error(message), status_(status) {}
  status_code status() const noexcept { return status_; }

 private:
  status_code status_;
};

// A value, or an error in its place. `*` and `->` need a value, and error() needs an error: test
// which there is first.
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

// A text that an object keeps: made of whatever makes a text_view.
class text {
 public:
  text() = default;
  template <class Text, class = std::enable_if_t<detail::is_text<Text>>>
  text(const Text& view) : value_(std::string_view(text_view(view))) {}
  operator std::string_view() const noexcept { return value_; }

 private:
  std::string value_{};
};

namespace detail {

template <class Text>
std::vector<shmetrics_str> strs(const std::vector<Text>& texts) {
  std::vector<shmetrics_str> out;
  for (const Text& text : texts) out.push_back(str(text));
  return out;
}

// The error of the last call that failed in this thread.
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

}  // namespace detail

// An exposition format.
enum class format : std::uint32_t {
  text = SHMETRICS_FORMAT_TEXT,    // 0.0.4
  text1 = SHMETRICS_FORMAT_TEXT1,  // 1.0.0
  openmetrics = SHMETRICS_FORMAT_OPENMETRICS,
  openmetrics2 = SHMETRICS_FORMAT_OPENMETRICS2,
  protobuf = SHMETRICS_FORMAT_PROTOBUF,
};

// How names are escaped for scrapers that do not take all characters.
enum class escaping : std::uint32_t {
  unnamed = SHMETRICS_ESCAPING_DEFAULT,  // as underscores, and the content type does not name it
  underscores = SHMETRICS_ESCAPING_UNDERSCORES,
  dots = SHMETRICS_ESCAPING_DOTS,
  values = SHMETRICS_ESCAPING_VALUES,
  allow_utf8 = SHMETRICS_ESCAPING_ALLOW_UTF8,
};

// The form of a page. Default-constructed, it is text 0.0.4.
class exposition {
 public:
  exposition(format as = format::text, escaping names = escaping::unnamed) noexcept {
    raw_.format = static_cast<std::uint32_t>(as);
    raw_.escaping = static_cast<std::uint32_t>(names);
  }
  // The exposition for a scraper that sends this Accept header, or an empty one if it sends none.
  static exposition negotiate(text_view accept) noexcept {
    exposition negotiated;
    negotiated.raw_ = shmetrics_negotiate(detail::str(accept));
    return negotiated;
  }
  // OpenMetrics 1.0.0 with _created samples.
  exposition& created(bool yes = true) noexcept {
    raw_.created = yes;
    return *this;
  }
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
inline bool accepts_gzip(text_view accept_encoding) noexcept {
  return shmetrics_accepts_gzip(detail::str(accept_encoding));
}

// A family type, as in shmetrics_kind.
enum class kind : std::uint32_t {
  unknown = SHMETRICS_KIND_UNKNOWN,
  counter = SHMETRICS_KIND_COUNTER,
  gauge = SHMETRICS_KIND_GAUGE,
  histogram = SHMETRICS_KIND_HISTOGRAM,
  gauge_histogram = SHMETRICS_KIND_GAUGE_HISTOGRAM,
  summary = SHMETRICS_KIND_SUMMARY,
  info = SHMETRICS_KIND_INFO,
  state_set = SHMETRICS_KIND_STATE_SET,
  enumeration = SHMETRICS_KIND_ENUM,
};

// An array that a point has.
template <class T>
class array_view {
 public:
  array_view(const T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  const T* data_;
  std::size_t size_;
};

// A string of the C library.
inline std::string_view view(shmetrics_str text) noexcept { return {text.data, text.len}; }

// A series as it was at one moment. It is valid until the sink returns. Its C struct has comments.
class point {
 public:
  explicit point(const shmetrics_point* raw) noexcept : raw_(raw) {}
  std::string_view name() const noexcept { return view(raw_->family->name); }
  std::string_view help() const noexcept { return view(raw_->family->help); }
  std::string_view unit() const noexcept { return view(raw_->family->unit); }
  shmetrics::kind kind() const noexcept { return static_cast<shmetrics::kind>(raw_->family->kind); }
  array_view<shmetrics_label> labels() const noexcept { return {raw_->labels, raw_->label_count}; }
  // The value of a label; empty if there is none of this name.
  std::string_view label(text_view name) const noexcept {
    for (const shmetrics_label& one : labels()) {
      if (view(one.name) == std::string_view(name)) return view(one.value);
    }
    return {};
  }
  double value() const noexcept { return raw_->value; }
  std::optional<std::uint64_t> whole() const noexcept {
    if (!raw_->is_whole) return std::nullopt;
    return raw_->whole;
  }
  array_view<double> bounds() const noexcept { return {raw_->family->bounds, raw_->family->bound_count}; }
  array_view<std::uint64_t> counts() const noexcept { return {raw_->counts, raw_->bucket_count}; }
  array_view<shmetrics_quantile> quantiles() const noexcept { return {raw_->quantiles, raw_->quantile_count}; }
  array_view<shmetrics_str> state_names() const noexcept { return {raw_->family->states, raw_->family->state_count}; }
  array_view<bool> states() const noexcept { return {raw_->states, raw_->state_count}; }
  array_view<shmetrics_exemplar> exemplars() const noexcept { return {raw_->exemplars, raw_->exemplar_count}; }
  const shmetrics_native_buckets* native_buckets() const noexcept { return raw_->native_buckets; }
  const shmetrics_point& raw() const noexcept { return *raw_; }

 private:
  const shmetrics_point* raw_;
};

// A page that a collector adds to. It is valid until the collector returns.
class collection {
 public:
  explicit collection(shmetrics_cursor* raw) noexcept : raw_(raw) {}
  // Adds a sample of a family that is in no segment; the first sample of a family makes it.
  outcome try_counter(text_view name, text_view help, labels pairs, double number) {
    return add(SHMETRICS_KIND_COUNTER, name, help, pairs, number);
  }
  outcome try_gauge(text_view name, text_view help, labels pairs, double number) {
    return add(SHMETRICS_KIND_GAUGE, name, help, pairs, number);
  }
#ifdef __cpp_exceptions
  void counter(text_view name, text_view help, labels pairs, double number) {
    (void)try_counter(name, help, pairs, number).value();
  }
  void gauge(text_view name, text_view help, labels pairs, double number) {
    (void)try_gauge(name, help, pairs, number).value();
  }
#endif

 private:
  outcome add(shmetrics_kind as, text_view name, text_view help, labels pairs, double number) {
    return detail::check(detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      return shmetrics_cursor_add_sample(raw_, as, detail::str(name), detail::str(help), all, count, number);
    }));
  }

  shmetrics_cursor* raw_;
};

// Reading pages, common to segment and reader. Every call looks at the segment as it is then, and
// stalls no process that counts.
template <class Source>
class page_source {
 public:
  // Gives the page in pieces of std::string_view; a sink that returns false ends it early. With a
  // filter, the page has the families of samples of these names, as scrapers ask for by `name[]`.
  template <class Sink>
  outcome try_each_chunk(Sink&& sink, std::size_t chunk_bytes = 16 * 1024, const exposition& as = {},
                         const std::vector<text_view>& filter = {}) const {
    auto begun = begin(as, filter);
    if (!begun) return begun.error();
    shmetrics_cursor* raw = begun->get();
    std::vector<char> chunk(std::max<std::size_t>(chunk_bytes, 1));
    while (const std::size_t bytes = shmetrics_cursor_read(raw, chunk.data(), chunk.size())) {
      const std::string_view piece(chunk.data(), bytes);
      if (!goes_on(sink, piece)) break;
    }
    return std::monostate{};
  }
  // Gives each series as a shmetrics::point; a sink that returns false ends the page early.
  template <class Sink>
  outcome try_each_point(Sink&& sink, const std::vector<text_view>& filter = {}) const {
    auto begun = begin({}, filter);
    if (!begun) return begun.error();
    shmetrics_points* raw = nullptr;
    const shmetrics_status status = shmetrics_cursor_points(begun->get(), &raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    (void)begun->release();  // the points have it
    const std::unique_ptr<shmetrics_points, free_points> points(raw);
    for (;;) {
      const shmetrics_point* next = nullptr;
      const shmetrics_status read = shmetrics_points_next(raw, &next);
      if (read != SHMETRICS_STATUS_OK) return detail::last_error(read);
      if (next == nullptr || !goes_on(sink, point(next))) return std::monostate{};
    }
  }
  result<std::string> try_render(const exposition& as = {}, const std::vector<text_view>& filter = {}) const {
    std::string page;
    auto done = try_each_chunk([&page](std::string_view piece) { page.append(piece); }, 16 * 1024, as, filter);
    if (!done) return done.error();
    return page;
  }
#ifdef __cpp_exceptions
  template <class Sink>
  void each_chunk(Sink&& sink, std::size_t chunk_bytes = 16 * 1024, const exposition& as = {},
                  const std::vector<text_view>& filter = {}) const {
    (void)try_each_chunk(std::forward<Sink>(sink), chunk_bytes, as, filter).value();
  }
  template <class Sink>
  void each_point(Sink&& sink, const std::vector<text_view>& filter = {}) const {
    (void)try_each_point(std::forward<Sink>(sink), filter).value();
  }
  std::string render(const exposition& as = {}, const std::vector<text_view>& filter = {}) const {
    return try_render(as, filter).value();
  }
#endif

 private:
  struct free_cursor {
    void operator()(shmetrics_cursor* cursor) const noexcept { shmetrics_cursor_free(cursor); }
  };
  struct free_points {
    void operator()(shmetrics_points* points) const noexcept { shmetrics_points_free(points); }
  };
  using owned_cursor = std::unique_ptr<shmetrics_cursor, free_cursor>;

  result<owned_cursor> begin(const exposition& as, const std::vector<text_view>& filter) const {
    shmetrics_cursor* raw = nullptr;
    shmetrics_status status = static_cast<const Source*>(this)->start_cursor(&raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    owned_cursor begun(raw);
    status = shmetrics_cursor_set_exposition(raw, as.raw());
    for (std::size_t i = 0; status == SHMETRICS_STATUS_OK && i < filter.size(); i++) {
      status = shmetrics_cursor_add_filter(raw, detail::str(filter[i]));
    }
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return begun;
  }
  template <class Sink, class Item>
  static bool goes_on(Sink& sink, Item item) {
    if constexpr (std::is_same_v<std::invoke_result_t<Sink&, Item>, bool>) {
      return sink(item);
    } else {
      sink(item);
      return true;
    }
  }
};

// The Content-Type of a page in text 0.0.4.
inline std::string_view content_type() noexcept { return shmetrics_content_type(); }
// The version of the library that was linked.
inline std::string_view version() noexcept { return shmetrics_version(); }

}  // namespace shmetrics

#endif  // SHMETRICS_PAGES_HPP
