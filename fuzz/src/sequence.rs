//! Calls of the C ABI in any order, right and wrong ones, against a model: in the end the pages are
//! what the model says.

mod bundles;
mod named;
mod null;
mod redefine;

use std::cell::RefCell;

use crate::ffi::{self, Handle, Str, Three, Two};
use crate::input::Input;
use crate::model::{At, Bundle, Kind, Segment, Spec, Text, Update};
use crate::native::Native;
use crate::page::{check_whole, parse};
use crate::slate::Slate;

/// Enough for everything that needs several, and far too few to fill a segment.
const MOST_CALLS: usize = 200;

thread_local! {
    static SLATES: RefCell<[Slate; 3]> = RefCell::new({
        let slate = |limit| Slate::new("sequence", 2 << 20, limit);
        [slate(0), slate(0), slate(6)]
    });
}

/// A family's handle, and which one it is in the model. `None`: a zero handle.
#[derive(Clone, Copy)]
struct Family {
    segment: usize,
    kind: Kind,
    handle: Two,
    at: Option<usize>,
    /// Which of `orders` its values have.
    order: usize,
}

#[derive(Clone, Copy)]
enum Words {
    Counter(Two),
    Gauge(Two),
    /// A summary, too.
    Histogram(Three),
    GaugeHistogram(Three),
    StateSet(Two),
    Enum(Two),
    /// No handle: whether it is there.
    Info(bool),
}

/// A metric's handle, and which one it is in the model: there, or removed. `None`: an inert handle.
#[derive(Clone, Copy)]
struct Metric {
    segment: usize,
    words: Words,
    at: Option<At>,
}

/// A bundle's handle, and its first family in the model. `None`: a zero handle.
#[derive(Clone, Copy)]
struct BundleHandle {
    segment: usize,
    handle: Two,
    at: Option<usize>,
    /// Which of `orders` its values have.
    order: usize,
}

/// The handle of a label set, and the series of its first family. `None`: an inert handle.
#[derive(Clone, Copy)]
struct Entry {
    segment: usize,
    handle: Three,
    at: Option<At>,
}

/// A page being rendered while other calls are made.
struct Cursor {
    handle: Handle,
    format: u32,
    page: Vec<u8>,
}

struct State<'a> {
    slates: &'a [Slate; 3],
    segments: [Handle; 3],
    models: [Segment; 3],
    families: Vec<Family>,
    /// For each label of the family, where its value is among a handle's.
    orders: Vec<Vec<usize>>,
    metrics: Vec<Metric>,
    bundles: Vec<BundleHandle>,
    /// The bundles that were asked for.
    asked: Vec<Bundle>,
    /// Whether a bundle was asked for that takes much of a segment.
    had_many_members: bool,
    entries: Vec<Entry>,
    cursor: Option<Cursor>,
}

/// Runs the target.
pub fn run(input: &[u8]) {
    SLATES.with_borrow_mut(|slates| {
        slates.iter_mut().for_each(Slate::wipe);
        let mut state = State::new(slates);
        let mut input = Input::new(input);
        for _ in 0..MOST_CALLS {
            if input.is_empty() {
                break;
            }
            state.call(&mut input);
        }
        state.finish_cursor(4096);
        (0..3).for_each(|segment| state.check(segment));
    });
}

impl<'a> State<'a> {
    fn new(slates: &'a [Slate; 3]) -> Self {
        let segments = [0, 1, 2].map(|i| ffi::open(&slates[i].name, 2).expect("the segment is there"));
        let models = [0, 1, 2].map(|i| Segment::new(slates[i].limit));
        let mut state = State {
            slates,
            segments,
            models,
            families: Vec::new(),
            orders: Vec::new(),
            metrics: Vec::new(),
            bundles: Vec::new(),
            asked: Vec::new(),
            had_many_members: false,
            entries: Vec::new(),
            cursor: None,
        };
        // The segments are as new, but the identity stays with the process.
        (0..3).for_each(|segment| state.set_identity(segment, 1));
        state
    }

    fn call(&mut self, input: &mut Input<'_>) {
        // Numbers stay what they are, so that kept inputs keep their meaning.
        let call = input.byte();
        if call >= 224 {
            return self.bundle(call, input);
        }
        match call % 16 {
            0 => self.register(input),
            1 | 2 => self.with(input),
            3..=5 => self.update(input),
            6 => self.counter_value(input),
            7 => self.render_short(input),
            8 => self.read(input),
            9 => self.step_cursor(input),
            10 => self.open(input),
            11 => {
                let segment = input.below(3);
                self.set_identity(segment, [0, 1, 2, 77, u32::MAX][input.below(5)]);
            }
            12 => self.null(input),
            13 => errors(input),
            14 => self.remove(input),
            15 => match input.below(6) {
                0 => self.clear(input),
                1 => self.expire(input),
                2 => self.named(input),
                3 => self.replace(input),
                4 => self.unregister(input),
                _ => self.is_removed(input),
            },
            _ => unreachable!("a number below 16"),
        }
    }

    fn set_identity(&mut self, segment: usize, identity: u32) {
        // SAFETY: a segment of this library.
        assert_eq!(unsafe { ffi::shmetrics_segment_set_identity(self.segments[segment], identity) }, ffi::OK);
        self.models[segment].set_identity(identity);
    }

    fn register(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let spec = spec(input);
        self.register_as(segment, &spec);
    }

    fn register_as(&mut self, segment: usize, spec: &Spec) {
        // SAFETY: a segment of this library.
        let (status, handle) = unsafe { ffi::register(self.segments[segment], spec) };
        let at = match self.models[segment].register(spec) {
            Ok(at) => {
                assert_eq!(status, ffi::OK, "{}: {spec:?}", ffi::last_error());
                Some(at)
            }
            Err(faults) => {
                assert!(faults.allow(status), "status {status}, faults {faults:?}, of {spec:?}");
                None
            }
        };
        let labels: Vec<String> = spec.read().0.labels;
        self.orders.push(at.and_then(|at| self.models[segment].families[at].order(&labels)).unwrap_or_default());
        self.families.push(Family { segment, kind: spec.kind, handle, at, order: self.orders.len() - 1 });
    }

    /// Some family, values for it, mostly as many as it has labels, and whether their array is to
    /// be NULL instead.
    fn family(&self, input: &mut Input<'_>) -> Option<(Family, Vec<Text>, bool)> {
        if self.families.is_empty() {
            return None;
        }
        let family = self.families[usize::from(input.byte()) % self.families.len()];
        let right = family.at.map_or(1, |at| self.models[family.segment].families[at].labels.len());
        let count = if input.one_in(16) { input.below(5) } else { right };
        let values: Vec<Text> = (0..count).map(|_| value(input)).collect();
        let missing = count > 0 && input.one_in(64);
        Some((family, values, missing))
    }

    /// Values as a handle takes them, in the family's order.
    fn in_order<V: Clone>(&self, order: usize, values: Vec<V>) -> Vec<V> {
        let order = &self.orders[order];
        if order.len() == values.len() {
            order.iter().map(|at| values[*at].clone()).collect()
        } else {
            values
        }
    }

    fn with(&mut self, input: &mut Input<'_>) {
        let Some((Family { segment, kind, handle, at, order }, values, missing)) = self.family(input) else { return };
        let (strings, count) = (strings(&values), values.len());
        let p = if missing { std::ptr::null() } else { strings.as_ptr() };
        let given = self.in_order(order, in_model(&values));
        let at = at.and_then(|at| self.models[segment].with(at, (!missing).then_some(&*given)));
        // SAFETY: a family of this library and of this kind, or zeros; the strings live as long as
        // the call.
        let words = unsafe {
            match kind {
                Kind::Counter => Words::Counter(ffi::shmetrics_counter_with(handle, p, count)),
                Kind::Gauge(_) | Kind::Unknown => Words::Gauge(ffi::shmetrics_gauge_with(handle, p, count)),
                Kind::Histogram => Words::Histogram(ffi::shmetrics_histogram_with(handle, p, count)),
                Kind::GaugeHistogram => Words::GaugeHistogram(ffi::shmetrics_histogram_with(handle, p, count)),
                Kind::Summary => Words::Histogram(ffi::shmetrics_summary_with(handle, p, count)),
                Kind::StateSet => Words::StateSet(ffi::shmetrics_states_with(handle, p, count)),
                Kind::Enum => Words::Enum(ffi::shmetrics_states_with(handle, p, count)),
                Kind::Info => Words::Info(ffi::shmetrics_info_with(handle, p, count)),
            }
        };
        let inert = match words {
            Words::Counter(two) | Words::Gauge(two) | Words::StateSet(two) | Words::Enum(two) => two.is_zero(),
            Words::Histogram(three) | Words::GaugeHistogram(three) => three.is_zero(),
            Words::Info(there) => !there,
        };
        assert_eq!(inert, at.is_none());
        self.metrics.push(Metric { segment, words, at });
    }

    fn remove(&mut self, input: &mut Input<'_>) {
        let Some((Family { segment, kind, handle, at, order }, values, missing)) = self.family(input) else { return };
        let (strings, count) = (strings(&values), values.len());
        let p = if missing { std::ptr::null() } else { strings.as_ptr() };
        let given = self.in_order(order, in_model(&values));
        let expected = at.is_some_and(|at| self.models[segment].remove(at, (!missing).then_some(&*given)));
        // SAFETY: as in `with`.
        let removed = unsafe {
            match kind {
                Kind::Counter => ffi::shmetrics_counter_remove(handle, p, count),
                Kind::Gauge(_) | Kind::Unknown => ffi::shmetrics_gauge_remove(handle, p, count),
                Kind::Histogram | Kind::GaugeHistogram => ffi::shmetrics_histogram_remove(handle, p, count),
                Kind::Summary => ffi::shmetrics_summary_remove(handle, p, count),
                Kind::StateSet | Kind::Enum => ffi::shmetrics_states_remove(handle, p, count),
                Kind::Info => ffi::shmetrics_info_remove(handle, p, count),
            }
        };
        assert_eq!(removed, expected, "{values:?}");
    }

    fn clear(&mut self, input: &mut Input<'_>) {
        if self.families.is_empty() {
            return;
        }
        let Family { segment, kind, handle, at, .. } = self.families[usize::from(input.byte()) % self.families.len()];
        let expected = at.map_or(0, |at| self.models[segment].clear(at));
        // SAFETY: a family of this library and of this kind, or zeros.
        let removed = unsafe {
            match kind {
                Kind::Counter => ffi::shmetrics_counter_clear(handle),
                Kind::Gauge(_) | Kind::Unknown => ffi::shmetrics_gauge_clear(handle),
                Kind::Histogram | Kind::GaugeHistogram => ffi::shmetrics_histogram_clear(handle),
                Kind::Summary => ffi::shmetrics_summary_clear(handle),
                Kind::StateSet | Kind::Enum => ffi::shmetrics_states_clear(handle),
                Kind::Info => ffi::shmetrics_info_clear(handle),
            }
        };
        assert_eq!(removed, expected);
    }

    /// No input takes so long that a series expires; and this process lives, others do not.
    fn expire(&mut self, input: &mut Input<'_>) {
        let segment = self.segments[input.below(3)];
        // SAFETY: a segment of this library.
        unsafe {
            assert_eq!(ffi::shmetrics_segment_expire(segment), 0);
            assert!(!ffi::shmetrics_segment_mark_dead(segment, std::process::id()));
            assert!(ffi::shmetrics_segment_mark_dead(segment, u32::MAX - u32::from(input.byte())));
        }
    }

    fn is_removed(&mut self, input: &mut Input<'_>) {
        let Some(Metric { segment, words, at }) = self.metric(input) else { return };
        // SAFETY: handles of this library and of this kind, or zeros.
        let removed = unsafe {
            match words {
                Words::Counter(c) => ffi::shmetrics_counter_is_removed(c),
                Words::Gauge(g) => ffi::shmetrics_gauge_is_removed(g),
                Words::Histogram(h) | Words::GaugeHistogram(h) => ffi::shmetrics_histogram_is_removed(h),
                Words::StateSet(s) | Words::Enum(s) => ffi::shmetrics_states_is_removed(s),
                Words::Info(_) => return,
            }
        };
        assert_eq!(removed, at.is_some_and(|at| self.models[segment].is_removed(at)));
    }

    fn metric(&self, input: &mut Input<'_>) -> Option<Metric> {
        let i = usize::from(input.byte());
        (!self.metrics.is_empty()).then(|| self.metrics[i % self.metrics.len()])
    }

    fn update(&mut self, input: &mut Input<'_>) {
        let Some(Metric { segment, words, at }) = self.metric(input) else { return };
        // SAFETY: handles of this library and of this kind, or zeros.
        let update = unsafe {
            match (words, input.below(5)) {
                (Words::Counter(c), 0 | 1) => {
                    ffi::shmetrics_counter_inc(c);
                    Update::AddWhole(1)
                }
                (Words::Counter(c), 2 | 3) => {
                    let v = input.float();
                    ffi::shmetrics_counter_add(c, v);
                    Update::Add(v)
                }
                (Words::Counter(c), _) => {
                    // Where labelled series carry over, or any.
                    let n = if input.one_in(2) { (1 << 43) - u64::from(input.byte()) } else { input.long() };
                    ffi::shmetrics_counter_add_u64(c, n);
                    Update::AddWhole(n)
                }
                (Words::Gauge(g), 0) => {
                    ffi::shmetrics_gauge_inc(g);
                    Update::Add(1.0)
                }
                (Words::Gauge(g), 1) => {
                    ffi::shmetrics_gauge_dec(g);
                    Update::Add(-1.0)
                }
                (Words::Gauge(g), 2) => {
                    let v = input.float();
                    ffi::shmetrics_gauge_add(g, v);
                    Update::Add(v)
                }
                (Words::Gauge(g), 3) => {
                    let v = input.float();
                    ffi::shmetrics_gauge_set(g, v);
                    Update::Set(v)
                }
                (Words::Gauge(g), _) => {
                    ffi::shmetrics_gauge_set_to_now(g);
                    Update::SetToNow
                }
                (Words::GaugeHistogram(h), 3 | 4) => {
                    let v = input.float();
                    ffi::shmetrics_histogram_unobserve(h, v);
                    Update::Forget(v)
                }
                (Words::Histogram(h) | Words::GaugeHistogram(h), 0) => {
                    // A start in the future: no time has passed.
                    ffi::shmetrics_histogram_observe_since(h, u64::MAX);
                    Update::Observe(0.0)
                }
                (Words::Histogram(h) | Words::GaugeHistogram(h), _) => {
                    let v = input.float();
                    ffi::shmetrics_histogram_observe(h, v);
                    Update::Observe(v)
                }
                (Words::StateSet(s), off) => {
                    let state = state(input);
                    ffi::shmetrics_state_set_set(s, state, off == 0);
                    Update::State(state, off == 0)
                }
                (Words::Enum(s), _) => {
                    let state = state(input);
                    ffi::shmetrics_enum_set(s, state);
                    Update::Choose(state)
                }
                (Words::Info(_), _) => return,
            }
        };
        if let Some(at) = at {
            self.models[segment].update(at, update);
        }
    }

    fn counter_value(&mut self, input: &mut Input<'_>) {
        if let Some(Metric { segment, words: Words::Counter(counter), at }) = self.metric(input) {
            // SAFETY: a counter of this library, or zeros.
            let value = unsafe { ffi::shmetrics_counter_value(counter) };
            assert_eq!(value, at.map_or(0.0, |at| self.models[segment].counter_value(at)));
        }
    }

    /// Renders into a buffer that may be too small.
    fn render_short(&mut self, input: &mut Input<'_>) {
        const UNTOUCHED: u8 = 0xee;
        let segment = self.segments[input.below(3)];
        let capacity = usize::from(input.word());
        let mut buffer = vec![UNTOUCHED; capacity + 1];
        let mut length = usize::MAX;
        // SAFETY: a segment of this library, and a buffer with room to spare.
        let status = unsafe { ffi::shmetrics_segment_render(segment, buffer.as_mut_ptr(), capacity, &raw mut length) };
        let written = if status == ffi::OK { length } else { 0 };
        assert_eq!(
            status == ffi::BUFFER_TOO_SMALL,
            length > capacity,
            "status {status}, {length} bytes into {capacity}"
        );
        assert!(buffer[written..].iter().all(|b| *b == UNTOUCHED), "nothing is written beyond the page");
        if status == ffi::OK {
            parse(&buffer[..length]).expect("a page");
        }
    }

    /// Renders through a reader, as another process would, and compares with the model.
    fn read(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let (mut reader, mut cursor) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: outputs and buffers are ours; the reader is freed once, after its cursor.
        let page = unsafe {
            let name = Str::new(self.slates[segment].name.as_bytes());
            assert_eq!(ffi::shmetrics_reader_open(name, &raw mut reader), ffi::OK, "{}", ffi::last_error());
            let page = if input.one_in(2) {
                assert_eq!(ffi::shmetrics_reader_cursor(reader, &raw mut cursor), ffi::OK);
                let page = drain(cursor, piece(input));
                ffi::shmetrics_cursor_free(cursor);
                page
            } else {
                ffi::page(|p, size, len| ffi::shmetrics_reader_render(reader, p, size, len))
            };
            ffi::shmetrics_reader_free(reader);
            page
        };
        self.models[segment].check(&page);
    }

    /// Begins a page, or goes on with it, or ends it.
    fn step_cursor(&mut self, input: &mut Input<'_>) {
        let what = input.below(8);
        let Some(cursor) = &mut self.cursor else {
            let mut handle = std::ptr::null_mut();
            // SAFETY: a segment of this library, and room for the handle.
            let status = unsafe { ffi::shmetrics_segment_cursor(self.segments[input.below(3)], &raw mut handle) };
            assert_eq!(status, ffi::OK);
            let format = (what % 5) as u32;
            format_cursor(handle, format, what > 4);
            self.cursor = Some(Cursor { handle, format, page: Vec::new() });
            return;
        };
        match what {
            0 => self.finish_cursor(piece(input)),
            1 => {
                // SAFETY: a cursor that is still there, once.
                unsafe { ffi::shmetrics_cursor_free(cursor.handle) };
                self.cursor = None;
            }
            _ => {
                let mut buffer = vec![0; piece(input)];
                // SAFETY: a cursor that is still there, and a buffer of this length.
                let n = unsafe { ffi::shmetrics_cursor_read(cursor.handle, buffer.as_mut_ptr(), buffer.len()) };
                cursor.page.extend_from_slice(&buffer[..n]);
            }
        }
    }

    /// Whatever was called meanwhile, the pieces make a page.
    fn finish_cursor(&mut self, piece: usize) {
        if let Some(Cursor { handle, format, mut page }) = self.cursor.take() {
            // SAFETY: a cursor that is still there, freed once.
            unsafe {
                page.extend_from_slice(&drain(handle, piece));
                ffi::shmetrics_cursor_free(handle);
            }
            check_whole(format, &page);
        }
    }

    fn open(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let name = &*self.slates[segment].name;
        match input.below(6) {
            0 => assert_eq!(ffi::open(name, 2), Ok(self.segments[segment]), "opened twice, mapped once"),
            // It is in use: by this process.
            1 => assert_eq!(ffi::open_or_reset(name, 0, input.byte().into()), Ok(self.segments[segment])),
            2 => assert_eq!(ffi::open(name, 1), Err(ffi::ALREADY_EXISTS)),
            3 => assert_eq!(ffi::open(&format!("{name}-not"), 2), Err(ffi::NOT_FOUND)),
            4 => assert_eq!(ffi::open(name, 4 + u32::from(input.byte())), Err(ffi::INVALID_ARGUMENT)),
            _ => {
                // Without a slash it is a plain name, which has its rules; with one, another
                // directory that is not there.
                let bad = [&b"/"[..], b"..", b"a b", b"a\0", b"\xff", b"/no/such/file\xc3"];
                let name = Str::new(bad[input.below(bad.len())]);
                // SAFETY: a string of ours.
                let status = unsafe { ffi::shmetrics_segment_remove(name) };
                assert_eq!(status, ffi::INVALID_NAME, "{}", ffi::last_error());
            }
        }
    }

    fn check(&mut self, segment: usize) {
        let handle = self.segments[segment];
        // SAFETY: a segment of this library, and a buffer that `page` has made.
        let page = ffi::page(|p, size, len| unsafe { ffi::shmetrics_segment_render(handle, p, size, len) });
        self.models[segment].check(&page);
    }
}

/// Reads a page to its end.
///
/// # Safety
/// The cursor is still there.
unsafe fn drain(cursor: Handle, piece: usize) -> Vec<u8> {
    let (mut page, mut buffer) = (Vec::new(), vec![0; piece]);
    loop {
        // SAFETY: the caller's promise, and a buffer of this length.
        match unsafe { ffi::shmetrics_cursor_read(cursor, buffer.as_mut_ptr(), piece) } {
            0 => return page,
            n => page.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Says how a cursor's page is written; first a way that there is not.
fn format_cursor(cursor: Handle, format: u32, created: bool) {
    let exposition = ffi::Exposition { format, escaping: 0, created };
    // SAFETY: a cursor that is still there, before its first bytes.
    unsafe {
        let wrong = ffi::Exposition { escaping: 5, ..exposition };
        assert_eq!(ffi::shmetrics_cursor_set_exposition(cursor, wrong), ffi::INVALID_ARGUMENT);
        assert_eq!(ffi::shmetrics_cursor_set_exposition(cursor, exposition), ffi::OK);
    }
}

fn strings(values: &[Text]) -> Vec<Str> {
    values.iter().map(|v| v.as_ref().map_or(Str::null(5), Str::new)).collect()
}

/// A NULL value is the empty string.
fn in_model(values: &[Text]) -> Vec<Vec<u8>> {
    values.iter().map(|value| value.clone().unwrap_or_default()).collect()
}

/// The number of a state: one that there may be, or any.
fn state(input: &mut Input<'_>) -> usize {
    match input.byte() {
        b @ 0..=127 => usize::from(b % 4),
        b @ 128..=253 => usize::from(b % 68),
        _ => usize::MAX - 63,
    }
}

fn piece(input: &mut Input<'_>) -> usize {
    [4096, 1, 7, 64, 500, 100_000][input.below(6)]
}

/// The library's words about its last failure and about statuses, cut to any length.
fn errors(input: &mut Input<'_>) {
    let capacity = input.below(64);
    let mut buffer = [0xee; 64];
    // SAFETY: a buffer at least as long as said; a static string.
    let (whole, message) = unsafe {
        let whole = ffi::shmetrics_last_error(buffer.as_mut_ptr(), capacity);
        (whole, std::ffi::CStr::from_ptr(ffi::shmetrics_status_message(u32::from(input.word()))))
    };
    let end = whole.min(capacity.saturating_sub(1));
    assert!(capacity == 0 || buffer[end] == 0, "there is a NUL at the end");
    assert!(buffer[capacity..].iter().all(|b| *b == 0xee), "nothing is written beyond the buffer");
    assert!(!message.is_empty());
}

/// A family: mostly of few names and labels, so that registrations meet.
fn spec(input: &mut Input<'_>) -> Spec {
    const NAMES: [&str; 17] = [
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "a_total",
        "a_count",
        "b_sum",
        "c_created",
        "g_seconds",
        "_",
        "x:y",
        "c_bucket",
        "d_info",
        "l0",
        "b_gcount",
    ];
    let kind = kind(input);
    let name = if input.one_in(32) { value(input) } else { Some(input.pick(&NAMES).into()) };
    let help = if input.one_in(4) { value(input) } else { Some(b"Help.".to_vec()) };
    let unit = Some(input.pick(&["", "", "", "", "", "seconds", "a"]).into());
    let labels = labels(input);
    let native = Native::of(name.as_deref());
    let mut spec = Spec { help, unit, labels, native, ..Spec::plain(kind, name) };
    spec_of_kind(kind, &mut spec, input);
    spec.limit = [0, 0, 0, 1, 2, 5][input.below(6)];
    spec.expire = [0, 0, 0, 0, 100_000, u32::MAX][input.below(6)];
    spec
}

fn kind(input: &mut Input<'_>) -> Kind {
    match input.below(12) {
        0 | 1 => Kind::Counter,
        2 | 3 => Kind::Gauge(input.below(12) as u32),
        4 | 5 => Kind::Histogram,
        6 => Kind::Summary,
        7 => Kind::GaugeHistogram,
        8 => Kind::StateSet,
        9 => Kind::Enum,
        10 => Kind::Info,
        _ => Kind::Unknown,
    }
}

fn labels(input: &mut Input<'_>) -> Option<Vec<Text>> {
    let mut labels: Option<Vec<Text>> = match input.below(32) {
        31 => None,
        n => Some((0..n % 4).map(|i| if n > 27 { value(input) } else { Some(vec![b'l', b'0' + i as u8]) }).collect()),
    };
    if input.one_in(4) {
        // The same set of names is the same family.
        labels.iter_mut().for_each(|labels| labels.reverse());
    }
    labels
}

/// Buckets and states: mostly of a type that has them.
fn spec_of_kind(kind: Kind, spec: &mut Spec, input: &mut Input<'_>) {
    spec.kind = kind;
    let most = if kind.has_buckets() || input.one_in(16) { 6 } else { 1 };
    spec.buckets = match input.below(most) {
        0 | 1 => None,
        2 => Some(Vec::new()),
        3 => Some(vec![1.0, 2.0, f64::INFINITY]),
        4 => Some(vec![-1.0, -0.0, 0.5]),
        _ => Some((0..input.below(6)).map(|_| input.float()).collect()),
    };
    spec.states = match input.below(if kind.has_states() { 16 } else { 1 }) {
        0 => Vec::new(),
        n @ 1..=11 => [&b"on"[..], b"off", b"\"\n\\"][..1 + n % 3].iter().map(|s| Some(s.to_vec())).collect(),
        12 => (0..63 + input.below(4)).map(|i| Some(format!("s{i}").into_bytes())).collect(),
        _ => (0..input.below(4)).map(|_| value(input)).collect(),
    };
}

/// A text: one of a few, so that label sets meet, or any bytes.
fn value(input: &mut Input<'_>) -> Text {
    match input.below(12) {
        n @ 0..=7 => Some(["", "x", "y", "\"", "\\", "\n", "é", "\u{fffd}"][n].into()),
        8 => Some(b"\xff".to_vec()),
        9 => None,
        _ => {
            let n = input.below(40);
            Some(input.bytes(n).to_vec())
        }
    }
}
