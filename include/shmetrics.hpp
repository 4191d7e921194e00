// shmetrics for C++17: segments and readers over shmetrics.h, header only. The metrics are in
// shmetrics_metrics.hpp, errors and pages in shmetrics_pages.hpp. This header includes both.
//
//   auto segment  = shmetrics::segment::open("shop");
//   auto requests = segment.register_counter(
//       {"http_requests_total", "Requests served.", {"method", "status"}});
//   auto ok       = requests.with("GET", "200");  // look a label set up once, keep the handle
//   ok.inc();                                     // no lock, no memory, async-signal-safe
//
// Each call that can fail has two forms: open() throws shmetrics::error, try_open() returns a
// shmetrics::result. A program without exceptions has the second form alone. Updates cannot fail
// and are noexcept. Link with the C library.
#ifndef SHMETRICS_HPP
#define SHMETRICS_HPP

#include "shmetrics_metrics.hpp"
#include "shmetrics_pages.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace shmetrics {

// How a page combines the values of several processes; `shared` is one value for all of them.
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

// The definition of a family: {"name", "help", {"label", ...}}, or fields by name in C++20. See
// shmetrics_family_spec in the C header.
struct spec {
  text name{};
  text help{};
  std::vector<text> labels{};
  text unit{};
  std::vector<double> buckets{};         // histograms; none: Prometheus' defaults
  std::uint64_t max_series = 0;          // 0: no limit
  seconds expire_after{};                // without an update; 0: never
  std::vector<text> states{};            // state sets and enumerations
  seconds exemplar_interval{};           // 0: one second
  double native_factor = 0;              // histograms: growth of buckets, such as 1.1; 0: none
  double native_zero_threshold = 0;      // 0: 2^-128; negative: the bucket is for 0 alone
  std::uint32_t native_max_buckets = 0;  // on pages; 0: 160
  std::vector<double> quantiles{};       // summaries: of all processes, each exact to 1.1 %
  seconds quantile_max_age{};            // of an observation; 0: ten minutes
  bool exact_name = false;               // counters: text and protobuf do not add _total
  bool replace = false;                  // takes the place of another definition
};

namespace detail {

// A spec as C has it, with what it points to.
class raw_spec {
 public:
  explicit raw_spec(const spec& what) : names_(strs(what.labels)), states_(strs(what.states)) {
    raw_.struct_size = sizeof raw_;
    raw_.name = str(what.name);
    raw_.help = str(what.help);
    raw_.unit = str(what.unit);
    raw_.label_names = names_.data();
    raw_.label_count = names_.size();
    // NULL gives the default buckets.
    raw_.buckets = what.buckets.empty() ? nullptr : what.buckets.data();
    raw_.bucket_count = what.buckets.size();
    raw_.states = states_.data();
    raw_.state_count = states_.size();
    raw_.max_series = what.max_series;
    raw_.expire_after_seconds = what.expire_after.count();
    raw_.exemplar_interval_seconds = what.exemplar_interval.count();
    raw_.quantiles = what.quantiles.data();
    raw_.quantile_count = what.quantiles.size();
    raw_.native_factor = what.native_factor;
    raw_.native_zero_threshold = what.native_zero_threshold;
    raw_.native_max_buckets = what.native_max_buckets;
    raw_.quantile_max_age_seconds = what.quantile_max_age.count();
    raw_.exact_name = what.exact_name;
    raw_.replace = what.replace;
  }
  // The arrays stay where they are when the object is moved.
  const shmetrics_family_spec* get() const noexcept { return &raw_; }

 private:
  std::vector<shmetrics_str> names_, states_;
  shmetrics_family_spec raw_{};
};

// Room for `count` bounds, or for one more than a histogram may have. For a count of 0 there is one
// bound, NaN, which is refused: without bounds a histogram gets the default ones.
inline std::vector<double> room_for_bounds(std::size_t count) {
  const std::size_t room = std::clamp<std::size_t>(count, 1, SHMETRICS_MAX_BUCKETS + 1);
  return std::vector<double>(room, std::numeric_limits<double>::quiet_NaN());
}

}  // namespace detail

// The upper bounds of `count` buckets: start, start + width, start + 2 * width and so on. Bounds
// that do not rise, and a count that no histogram has, are refused when the histogram is
// registered.
inline std::vector<double> linear_buckets(double start, double width, std::size_t count) {
  std::vector<double> bounds = detail::room_for_bounds(count);
  for (std::size_t i = 0; i < count && i < bounds.size(); i++) bounds[i] = start + width * static_cast<double>(i);
  return bounds;
}
// The same, each `factor` times the one before.
inline std::vector<double> exponential_buckets(double start, double factor, std::size_t count) {
  std::vector<double> bounds = detail::room_for_bounds(count);
  for (std::size_t i = 0; i < count && i < bounds.size(); i++, start *= factor) bounds[i] = start;
  return bounds;
}

// Which segment, and how to open it: options("shop").max_size(256 << 20).mode(0640). The defaults
// are those of the C library; an empty name is $SHMETRICS_SEGMENT, else "default". The options keep
// copies of all texts.
class options {
 public:
  options() : options(text_view()) {}
  template <class Text, class = std::enable_if_t<detail::is_text<Text>>>
  options(const Text& name) : name_(name) {
    shmetrics_options_init(&raw_);
  }

  options& create_new() noexcept { return choose(SHMETRICS_CREATE_NEW); }  // it must not exist
  options& attach() noexcept { return choose(SHMETRICS_ATTACH); }          // it must exist
  // A segment without a name, for forked children.
  options& anonymous() noexcept { return choose(SHMETRICS_ANONYMOUS); }
  options& mode(std::uint32_t file_mode) noexcept { return set(raw_.mode, file_mode); }
  // The owner and the group of a new segment's file: a name, or a number in digits.
  options& owner(text_view user) {
    owner_ = user;
    return *this;
  }
  options& group(text_view group) {
    group_ = group;
    return *this;
  }
  // Users, separated by commas, in whose segments this process may count: see the C header.
  options& trust(text_view users) {
    trust_ = users;
    return *this;
  }
  options& max_size(std::uint64_t bytes) noexcept { return set(raw_.max_size, bytes); }
  options& max_series(std::uint64_t count) noexcept { return set(raw_.max_series, count); }
  options& max_processes(std::uint32_t count) noexcept { return set(raw_.max_processes, count); }
  options& allow_disk() noexcept { return set(raw_.allow_disk, 1); }
  // SHMETRICS_PER_CPU_DEFAULT, _LOCKED or _NONE.
  options& per_cpu(std::uint32_t cells) noexcept { return set(raw_.per_cpu, cells); }
  options& short_bounds(bool yes = true) noexcept {  // le="1" instead of le="1.0" in text
    return set(raw_.bounds, yes ? SHMETRICS_BOUNDS_SHORT : SHMETRICS_BOUNDS_CANONICAL);
  }
  // For a host that numbers its reloads.
  options& revision(std::uint64_t number) noexcept { return set(raw_.revision, number); }
  // Replaces a segment that no process has open for counting.
  options& reset_if_unused() noexcept { return set(raw_.reset_if_unused, 1); }
  // A label that all series of a new segment have in front of theirs.
  options& label(text_view name, text_view value) {
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
  // Why two of the settings exclude each other; NULL if none do.
  const char* conflict() const noexcept { return conflict_; }

 private:
  template <class Field, class Value>
  options& set(Field& field, Value value) noexcept {
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
  text name_{}, owner_{}, group_{}, trust_{};
  std::vector<std::pair<text, text>> labels_{};
  const char* conflict_ = nullptr;
};

// A metric of a bundle: {kind::counter, {"requests", "Help."}}. Its labels, and its limit, expiry
// and replacement, are the bundle's.
struct member {
  shmetrics::kind kind = shmetrics::kind::counter;
  spec family{};
  gauge_mode mode = gauge_mode::shared;  // gauges
};

// The definition of a bundle. See shmetrics_bundle_spec in the C header.
struct bundle_spec {
  std::vector<text> labels{};
  std::vector<member> members{};
  std::uint64_t max_series = 0;  // label sets; 0: no limit
  seconds expire_after{};        // without an update of any member; 0: never
  bool replace = false;          // takes the place of another definition
};

// A collector that was added to a segment.
class collector {
 public:
  collector() noexcept = default;
  explicit collector(shmetrics_collector* raw) noexcept : raw_(raw) {}
  // No page that is begun afterwards calls it. Another thread may be in a call of it meanwhile.
  void remove() noexcept { shmetrics_collector_remove(std::exchange(raw_, nullptr)); }

 private:
  shmetrics_collector* raw_ = nullptr;
};

// A shared-memory segment that is open for counting: it registers families and makes pages. A value
// that never closes: the mapping stays for the life of the process, so handles cannot dangle. A
// default-constructed one is no segment, and each call that can fail says so.
class segment : public page_source<segment> {
 public:
  segment() noexcept = default;
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  static result<segment> try_open(const options& settings = {}) {
    if (const char* conflict = settings.conflict()) return error(status_code::invalid_argument, conflict);
    shmetrics_segment* raw = nullptr;
    const shmetrics_status status = settings.open(&raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return segment(raw);
  }
  // Removes the name; processes that have the segment open keep it.
  static outcome try_remove(text_view name) { return detail::check(shmetrics_segment_remove(detail::str(name))); }
  // Whether any process has the segment of this name open for counting, this one included.
  static result<bool> try_is_in_use(text_view name) {
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
  // Removes the family of this name from all pages; false if there was none. See the C header.
  result<bool> try_unregister(text_view name) const {
    bool done = false;
    const shmetrics_status status = shmetrics_unregister(raw_, detail::str(name), &done);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return done;
  }
  // A worker number for the label `pid` of gauges; before the first update of a gauge.
  outcome try_set_identity(std::uint32_t identity) const {
    return detail::check(shmetrics_segment_set_identity(raw_, identity));
  }
  // Takes a slot for per-process gauges now, instead of at the first update of one: for instance
  // before a system call filter is installed.
  outcome try_attach_process() const { return detail::check(shmetrics_segment_attach_process(raw_)); }

  // Removes idle series of families with expire_after, and returns how many left the pages.
  // Rendering a page of the segment does the same.
  std::uint64_t expire() const noexcept { return shmetrics_segment_expire(raw_); }
  // A sentence for the log of the host, on what the segment could not take; empty if there is no
  // new one. Each is given once, to one of all processes.
  std::string next_warning() const {
    std::string sentence(2048, '\0');
    const std::size_t whole = shmetrics_segment_next_warning(raw_, sentence.data(), sentence.size());
    sentence.resize(std::min(whole, sentence.size() - 1));
    return sentence;
  }

  // Calls `collect(collection&)` for each page that this process begins of this segment, to add
  // families that are in no segment. An exception, or a result of false, leaves out what the call
  // has added. The function object is kept for the life of the process. The rules are those of
  // shmetrics_segment_add_collector.
  template <class Collect>
  result<collector> try_add_collector(Collect collect) const {
    auto kept = std::make_unique<Collect>(std::move(collect));
    shmetrics_collector* raw = nullptr;
    const shmetrics_status status = shmetrics_segment_add_collector(raw_, run<Collect>, kept.get(), &raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    (void)kept.release();
    return collector(raw);
  }

  // Registering again gives the same family, in any process. Another definition is a conflict: see
  // shmetrics_family_spec in the C header.
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
  // One value of unknown type for all processes, set as a gauge is.
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

  // Metrics with the same labels, whose series are found by one look-up.
  result<bundle> try_register_bundle(const bundle_spec& what) const {
    const auto names = detail::strs(what.labels);
    std::vector<detail::raw_spec> specs;
    for (const member& one : what.members) specs.emplace_back(one.family);
    std::vector<shmetrics_member> members;
    for (std::size_t i = 0; i < specs.size(); i++) {
      members.push_back({static_cast<std::uint32_t>(what.members[i].kind),
                         static_cast<std::uint32_t>(what.members[i].mode), specs[i].get()});
    }
    shmetrics_bundle_spec raw{};
    raw.struct_size = sizeof raw;
    raw.label_names = names.data();
    raw.label_count = names.size();
    raw.members = members.data();
    raw.member_count = members.size();
    raw.max_series = what.max_series;
    raw.expire_after_seconds = what.expire_after.count();
    raw.replace = what.replace;
    shmetrics_bundle made{};
    const shmetrics_status status = shmetrics_bundle_register(raw_, &raw, &made);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return bundle(made);
  }

  // Updates by the names of family and labels, for hosts that have no place to keep handles. What
  // is missing is made, without a help text; a histogram with the default buckets. On an error
  // nothing is counted.
  outcome try_count(text_view name, labels pairs = {}, double number = 1) const {
    return named<shmetrics_counter_add_named>(name, pairs, number);
  }
  outcome try_observe(text_view name, labels pairs, double value) const {
    return named<shmetrics_histogram_observe_named>(name, pairs, value);
  }
  outcome try_observe(text_view name, labels pairs, seconds time) const {
    return try_observe(name, pairs, time.count());
  }

#ifdef __cpp_exceptions
  static segment open(const options& settings = {}) { return try_open(settings).value(); }
  static void remove(text_view name) { (void)try_remove(name).value(); }
  static bool is_in_use(text_view name) { return try_is_in_use(name).value(); }
  template <class Collect>
  collector add_collector(Collect collect) const {
    return try_add_collector(std::move(collect)).value();
  }
  bool unregister(text_view name) const { return try_unregister(name).value(); }
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
  bundle register_bundle(const bundle_spec& what) const { return try_register_bundle(what).value(); }
  void count(text_view name, labels pairs = {}, double number = 1) const {
    (void)try_count(name, pairs, number).value();
  }
  void observe(text_view name, labels pairs, double value) const { (void)try_observe(name, pairs, value).value(); }
  void observe(text_view name, labels pairs, seconds time) const { observe(name, pairs, time.count()); }
#endif

  shmetrics_segment* raw() const noexcept { return raw_; }

 private:
  friend class page_source<segment>;
  explicit segment(shmetrics_segment* raw) noexcept : raw_(raw) {}
  shmetrics_status start_cursor(shmetrics_cursor** cursor) const { return shmetrics_segment_cursor(raw_, cursor); }

  template <class Collect>
  static bool run(shmetrics_cursor* cursor, void* data) noexcept {
    collection page(cursor);
    Collect& collect = *static_cast<Collect*>(data);
#ifdef __cpp_exceptions
    try {
#endif
      if constexpr (std::is_same_v<std::invoke_result_t<Collect&, collection&>, bool>) {
        return collect(page);
      } else {
        collect(page);
        return true;
      }
#ifdef __cpp_exceptions
    } catch (...) {  // nothing may be thrown through C
      return false;
    }
#endif
  }

  template <auto Update>
  outcome named(text_view name, labels pairs, double v) const {
    return detail::check(detail::with_labels(pairs, [&](const shmetrics_label* all, std::size_t count) {
      return Update(raw_, detail::str(name), all, count, v);
    }));
  }

  template <class Family, auto Register, class... Mode>
  result<Family> registered(const spec& what, Mode... mode) const {
    const detail::raw_spec raw(what);
    decltype(Family().raw()) family{};
    const shmetrics_status status = Register(raw_, raw.get(), mode..., &family);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return Family(family);
  }

  shmetrics_segment* raw_ = nullptr;
};

// A read-only view of a segment, for a process that only renders. It is moved and not copied, and
// unmaps the segment when it is destroyed. A default-constructed one is no reader.
class reader : public page_source<reader> {
 public:
  reader() noexcept = default;
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  static result<reader> try_open(text_view name = {}) {
    shmetrics_reader* raw = nullptr;
    const shmetrics_status status = shmetrics_reader_open(detail::str(name), &raw);
    if (status != SHMETRICS_STATUS_OK) return detail::last_error(status);
    return reader(raw);
  }
#ifdef __cpp_exceptions
  static reader open(text_view name = {}) { return try_open(name).value(); }
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

}  // namespace shmetrics

#endif  // SHMETRICS_HPP
