//! Bundles, and the entries of their label sets.

use super::{in_model, kind, labels, spec_of_kind, strings, value, BundleHandle, Entry, Metric, State, Words};
use crate::ffi::{self, Three, Two};
use crate::input::Input;
use crate::model::{At, Bundle, Kind, Spec, Text, Update};
use crate::native::Native;

/// A member in the model, and its type. `None`: there is none of its number.
type Member = Option<(At, Kind)>;

/// A bundle that was asked for, to be asked for again.
struct Asked<'b>(&'b Bundle);

impl Asked<'_> {
    /// As it was, or almost.
    fn again(&self, input: &mut Input<'_>) -> Bundle {
        let mut bundle = self.0.clone();
        let some = |bundle: &Bundle, input: &mut Input<'_>| input.below(bundle.members.len().max(1));
        match input.below(16) {
            0 => bundle.members.reverse(),
            1 => _ = bundle.members.pop(),
            2 => bundle.limit = input.below(4) as u64,
            3 => bundle.expire = 100_001,
            4 => {
                let i = some(&bundle, input);
                bundle.members.iter_mut().skip(i).take(1).for_each(|member| member.kind = kind(input));
            }
            5 => {
                let i = some(&bundle, input);
                bundle.members.iter_mut().skip(i).take(1).for_each(|member| member.help = Some(b"Other.".to_vec()));
            }
            6..=8 => bundle.labels.iter_mut().for_each(|labels| labels.reverse()),
            _ => {}
        }
        bundle
    }
}

impl State<'_> {
    /// A call about bundles.
    pub(super) fn bundle(&mut self, call: u8, input: &mut Input<'_>) {
        match call % 8 {
            0 => self.register_bundle(input),
            1 | 2 => self.bundle_with(input),
            3 | 4 => self.update_entry(input),
            5 => self.member(input),
            6 => self.remove_entry(input),
            _ => match input.below(4) {
                0 => self.clear_bundle(input),
                1 => self.entry_is_removed(input),
                _ => self.register_again(input),
            },
        }
    }

    fn register_bundle(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let mut bundle = match self.asked.len() {
            n @ 1.. if input.one_in(4) => Asked(&self.asked[usize::from(input.byte()) % n]).again(input),
            _ => bundle(input),
        };
        bundle.replace |= input.one_in(4);
        // The segments are small.
        if bundle.members.len() > 8 && std::mem::replace(&mut self.had_many_members, true) {
            bundle.members.truncate(8);
        }
        // SAFETY: a segment of this library.
        let (status, handle) = unsafe { ffi::register_bundle(self.segments[segment], &bundle) };
        let at = match self.models[segment].register_bundle(&bundle) {
            Ok(at) => {
                assert_eq!(status, ffi::OK, "{}: {bundle:?}", ffi::last_error());
                Some(at)
            }
            Err(faults) => {
                assert!(faults.allow(status), "status {status}, faults {faults:?}, of {bundle:?}");
                None
            }
        };
        let order = at.and_then(|at| self.models[segment].families[at].order(&bundle.label_names()));
        self.orders.push(order.unwrap_or_default());
        self.bundles.push(BundleHandle { segment, handle, at, order: self.orders.len() - 1 });
        self.asked.push(bundle);
    }

    /// Registers a family that is there, or was, by itself: mostly a member of a bundle.
    fn register_again(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let there = &self.models[segment].families;
        if there.is_empty() {
            return;
        }
        let mut spec = there[usize::from(input.byte()) % there.len()].spec();
        match input.below(8) {
            0 => spec.replace = true,
            1 => (spec.replace, spec.help) = (true, Some(b"Other.".to_vec())),
            2 => (spec.replace, spec.limit) = (true, 3),
            3 => spec.labels.iter_mut().for_each(|labels| labels.reverse()),
            _ => {}
        }
        self.register_as(segment, &spec);
    }

    /// Some bundle, values for it, mostly as many as it has labels, and whether their array is to
    /// be NULL instead.
    fn some_bundle(&self, input: &mut Input<'_>) -> Option<(BundleHandle, Vec<Text>, bool)> {
        if self.bundles.is_empty() {
            return None;
        }
        let bundle = self.bundles[usize::from(input.byte()) % self.bundles.len()];
        let right = bundle.at.map_or(1, |at| self.models[bundle.segment].families[at].labels.len());
        let count = if input.one_in(16) { input.below(5) } else { right };
        let values: Vec<Text> = (0..count).map(|_| value(input)).collect();
        let missing = count > 0 && input.one_in(64);
        Some((bundle, values, missing))
    }

    fn bundle_with(&mut self, input: &mut Input<'_>) {
        let Some((BundleHandle { segment, handle, at, order }, values, missing)) = self.some_bundle(input) else {
            return;
        };
        let (strings, count) = (strings(&values), values.len());
        let p = if missing { std::ptr::null() } else { strings.as_ptr() };
        let given = self.in_order(order, in_model(&values));
        let at = at.and_then(|at| self.models[segment].with(at, (!missing).then_some(&*given)));
        // SAFETY: a bundle of this library, or zeros; the strings live as long as the call.
        let entry = unsafe {
            if input.one_in(2) {
                let mut entry = Three::ZERO;
                ffi::shmetrics_bundle_with_p(&raw const handle, p, count, &raw mut entry);
                entry
            } else {
                ffi::shmetrics_bundle_with(handle, p, count)
            }
        };
        assert_eq!(entry.is_zero(), at.is_none());
        self.entries.push(Entry { segment, handle: entry, at });
    }

    fn remove_entry(&mut self, input: &mut Input<'_>) {
        let Some((BundleHandle { segment, handle, at, order }, values, missing)) = self.some_bundle(input) else {
            return;
        };
        let (strings, count) = (strings(&values), values.len());
        let p = if missing { std::ptr::null() } else { strings.as_ptr() };
        let given = self.in_order(order, in_model(&values));
        let expected = at.is_some_and(|at| self.models[segment].remove(at, (!missing).then_some(&*given)));
        // SAFETY: as in `bundle_with`.
        assert_eq!(unsafe { ffi::shmetrics_bundle_remove(handle, p, count) }, expected, "{values:?}");
    }

    fn clear_bundle(&mut self, input: &mut Input<'_>) {
        if self.bundles.is_empty() {
            return;
        }
        let BundleHandle { segment, handle, at, .. } = self.bundles[usize::from(input.byte()) % self.bundles.len()];
        let expected = at.map_or(0, |at| self.models[segment].clear(at));
        // SAFETY: a bundle of this library, or zeros.
        assert_eq!(unsafe { ffi::shmetrics_bundle_clear(handle) }, expected);
    }

    fn entry(&self, input: &mut Input<'_>) -> Option<Entry> {
        let i = usize::from(input.byte());
        (!self.entries.is_empty()).then(|| self.entries[i % self.entries.len()])
    }

    fn entry_is_removed(&mut self, input: &mut Input<'_>) {
        let Some(Entry { segment, handle, at }) = self.entry(input) else { return };
        // SAFETY: an entry of this library, or zeros.
        let removed = unsafe { ffi::shmetrics_entry_is_removed(handle) };
        assert_eq!(removed, at.is_some_and(|at| self.models[segment].is_removed(at)));
    }

    /// Some label set, the number of a member or of none, and the member in the model.
    fn some_member(&self, input: &mut Input<'_>) -> Option<(Entry, usize, Member)> {
        let entry = self.entry(input)?;
        let (number, member) = self.member_of(entry, input);
        Some((entry, number, member))
    }

    fn member_of(&self, entry: Entry, input: &mut Input<'_>) -> (usize, Member) {
        let members = entry.at.map_or(1, |at| self.models[entry.segment].members(at));
        let number = match input.byte() {
            b @ 0..=239 => usize::from(b) % members,
            b @ 240..=250 => members + usize::from(b % 64),
            _ => usize::MAX - 1,
        };
        (number, entry.at.and_then(|at| self.models[entry.segment].member(at, number)))
    }

    /// The ordinary handle of a member, by the call of its type, or of another.
    fn member(&mut self, input: &mut Input<'_>) {
        let Some((Entry { segment, handle, .. }, number, member)) = self.some_member(input) else { return };
        let kind = match member {
            Some((_, kind)) if !input.one_in(8) => kind,
            _ => kind(input),
        };
        // SAFETY: an entry of this library, or zeros.
        let (words, inert) = unsafe {
            let two = |two: Two, words: fn(Two) -> Words| (words(two), two.is_zero());
            let three = |three: Three, words: fn(Three) -> Words| (words(three), three.is_zero());
            match kind {
                Kind::Counter => two(ffi::shmetrics_entry_counter(handle, number), Words::Counter),
                Kind::Gauge(_) | Kind::Unknown => two(ffi::shmetrics_entry_gauge(handle, number), Words::Gauge),
                Kind::Histogram | Kind::Summary => {
                    three(ffi::shmetrics_entry_histogram(handle, number), Words::Histogram)
                }
                Kind::GaugeHistogram => three(ffi::shmetrics_entry_histogram(handle, number), Words::GaugeHistogram),
                Kind::StateSet => two(ffi::shmetrics_entry_states(handle, number), Words::StateSet),
                Kind::Enum => two(ffi::shmetrics_entry_states(handle, number), Words::Enum),
                Kind::Info => return,
            }
        };
        let at = member.filter(|(_, of)| same_handle(*of, kind));
        assert_eq!(inert, at.is_none(), "{member:?} as {kind:?}");
        // What has the handle of another type is not called as that type: states are an example.
        let right = at.is_none_or(|(_, of)| same_words(of, kind));
        if right {
            self.metrics.push(Metric { segment, words, at: at.map(|(at, _)| at) });
        }
    }

    fn update_entry(&mut self, input: &mut Input<'_>) {
        if input.one_in(2) {
            return self.update_at_once(input);
        }
        let Some((Entry { segment, handle, .. }, number, member)) = self.some_member(input) else { return };
        let update = some_update(member, input);
        let (by_pointer, p) = (input.one_in(2), &raw const handle);
        // SAFETY: an entry of this library, or zeros.
        unsafe {
            match (update, by_pointer) {
                (Update::AddWhole(n), true) => ffi::shmetrics_entry_add_u64_p(p, number, n),
                (Update::AddWhole(n), false) => ffi::shmetrics_entry_add_u64(handle, number, n),
                (Update::Add(v), true) => ffi::shmetrics_entry_add_p(p, number, v),
                (Update::Add(v), false) => ffi::shmetrics_entry_add(handle, number, v),
                (Update::Set(v), true) => ffi::shmetrics_entry_set_p(p, number, v),
                (Update::Set(v), false) => ffi::shmetrics_entry_set(handle, number, v),
                (Update::Observe(v), true) => ffi::shmetrics_entry_observe_p(p, number, v),
                (Update::Observe(v), false) => ffi::shmetrics_entry_observe(handle, number, v),
                _ => unreachable!("no call of an entry"),
            }
        }
        self.take(segment, member, update);
    }

    /// Several updates by one call.
    fn update_at_once(&mut self, input: &mut Input<'_>) {
        let Some(entry) = self.entry(input) else { return };
        let (mut all, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..input.below(6) {
            let (number, member) = self.member_of(entry, input);
            let update = some_update(member, input);
            let (operation, bits) = match update {
                Update::AddWhole(n) => (0, n),
                Update::Add(v) => (1, v.to_bits()),
                Update::Set(v) => (2, v.to_bits()),
                Update::Observe(v) => (3, v.to_bits()),
                _ => unreachable!("no call of an entry"),
            };
            all.push(ffi::Update { member: u32::try_from(number).unwrap_or(u32::MAX), operation, bits });
            expected.push((member, update));
        }
        let handle = entry.handle;
        // SAFETY: an entry of this library, or zeros, and an array.
        unsafe {
            match input.one_in(2) {
                true => ffi::shmetrics_entry_update_p(&raw const handle, all.as_ptr(), all.len()),
                false => ffi::shmetrics_entry_update(handle, all.as_ptr(), all.len()),
            }
        }
        expected.into_iter().for_each(|(member, update)| self.take(entry.segment, member, update));
    }

    fn take(&mut self, segment: usize, member: Member, update: Update) {
        let Some((at, kind)) = member else { return };
        let takes = match kind {
            Kind::Counter => matches!(update, Update::AddWhole(_) | Update::Add(_)),
            Kind::Gauge(_) | Kind::Unknown => matches!(update, Update::Add(_) | Update::Set(_)),
            Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => matches!(update, Update::Observe(_)),
            Kind::StateSet | Kind::Enum | Kind::Info => false,
        };
        if takes {
            self.models[segment].update(at, update);
        }
    }
}

/// An update by a call of an entry: mostly one that the member's type has.
fn some_update(member: Member, input: &mut Input<'_>) -> Update {
    let call = match member.map(|(_, kind)| kind) {
        Some(Kind::Counter) if !input.one_in(8) => input.below(2),
        Some(Kind::Gauge(_) | Kind::Unknown) if !input.one_in(8) => 1 + input.below(2),
        Some(Kind::Histogram | Kind::GaugeHistogram | Kind::Summary) if !input.one_in(8) => 3,
        _ => input.below(4),
    };
    if call == 0 {
        let n = if input.one_in(2) { (1 << 43) - u64::from(input.byte()) } else { input.below(9) as u64 };
        return Update::AddWhole(n);
    }
    let v = input.float();
    [Update::Add(v), Update::Set(v), Update::Observe(v)][call - 1]
}

/// Whether the handle of one type is that of the other, too.
fn same_handle(a: Kind, b: Kind) -> bool {
    let class = |kind: Kind| match kind {
        Kind::Counter => 0,
        Kind::Gauge(_) | Kind::Unknown => 1,
        Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => 2,
        Kind::StateSet | Kind::Enum => 3,
        Kind::Info => 4,
    };
    class(a) == class(b)
}

/// Whether the same calls take the handles of both.
fn same_words(a: Kind, b: Kind) -> bool {
    let own = |kind: Kind| matches!(kind, Kind::GaugeHistogram | Kind::StateSet | Kind::Enum).then_some(kind);
    own(a) == own(b)
}

/// A bundle: mostly of few members with different names.
fn bundle(input: &mut Input<'_>) -> Bundle {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "a_total", "b_sum"];
    let labels = labels(input);
    let (first, count) = (input.below(6), input.below(32));
    let members: Vec<Spec> = match count {
        31 => (0..63 + input.below(3)).map(|i| counter(&format!("m{i}"))).collect(),
        30 => Vec::new(),
        n => (0..1 + n % 5)
            .map(|i| {
                let name = match input.below(16) {
                    15 => input.pick(&NAMES),
                    _ => NAMES[(first + i) % 6],
                };
                member(name, input)
            })
            .collect(),
    };
    let limit = [0, 0, 0, 1, 2, 5][input.below(6)];
    let expire = [0, 0, 0, 0, 100_000, u32::MAX][input.below(6)];
    Bundle { labels, members, limit, expire, replace: false }
}

fn counter(name: &str) -> Spec {
    Spec::plain(Kind::Counter, Some(name.into()))
}

fn member(name: &str, input: &mut Input<'_>) -> Spec {
    let kind = kind(input);
    let mut spec = Spec { native: Native::of(Some(name.as_bytes())), ..counter(name) };
    spec_of_kind(kind, &mut spec, input);
    if input.one_in(16) {
        spec.help = value(input);
    }
    match input.below(64) {
        63 => spec.limit = 1,
        62 => spec.expire = 5,
        61 => spec.replace = true,
        60 => spec.labels = Some(vec![Some(b"l".to_vec())]),
        _ => {}
    }
    spec
}
