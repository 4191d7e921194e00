//! The three ways to disturb a victim: a copy of the segment as a crash would leave it, a stop, and
//! a kill.

use std::io::Write;

use super::child;
use super::image::{Image, Live};
use super::operation::{Operation, Ready, ACTS};
use super::survivor::{survive, Victim};
use super::trace::Trace;
use super::tracee::{Moment, Tracee};
use common::{Name, Shared};

/// Findings that are kept word for word.
const KEPT: usize = 5;

/// The words of `Bench::progress`.
const BEGUN: usize = 0;
const DONE: usize = 1;

/// An operation under test, and what came of it.
pub struct Bench {
    op: Operation,
    /// What the victim does: the operation, but for controls.
    victim: Ready,
    /// The segment as the operation finds it.
    template: Image,
    /// How many acts the victim has begun, and how many have returned: words shared with it.
    progress: Shared,
    pub crashes: Count,
    pub stops: Count,
    pub kills: Count,
    findings: Vec<String>,
}

#[derive(Clone, Copy, Default)]
pub struct Count {
    pub runs: usize,
    pub wrong: usize,
    /// Runs that came to their end before the moment to disturb them.
    missed: usize,
}

impl Bench {
    pub fn new(op: Operation, victim: Ready) -> Bench {
        let name = Name::new("crash");
        let setup = || (op.setup)(&name.options().max_size(512 * 1024).max_processes(8).open().unwrap());
        child::run(setup).expect("setting the segment up");
        let mut template = Live::new(&name).image.clone();
        (op.edit)(&mut template);
        let progress = Shared::new(2);
        let [crashes, stops, kills] = [Count::default(); 3];
        Bench { op, victim, template, progress, crashes, stops, kills, findings: Vec::new() }
    }

    fn victim(&self, name: &Name) -> Tracee {
        let progress = &self.progress;
        (0..2).for_each(|word| progress.set(word, 0));
        let acts = |act: Box<dyn Fn()>| {
            for i in 1..=ACTS {
                progress.set(BEGUN, i);
                act();
                progress.set(DONE, i);
            }
        };
        Tracee::start(|| (self.victim)(name), acts)
    }

    /// What is known of the victim.
    fn known(&self, alive: bool) -> Victim {
        Victim { done: self.progress.get(DONE), begun: self.progress.get(BEGUN), alive }
    }

    /// A process that gets ready before the victim.
    fn holder(&self, name: &Name) -> Option<Tracee> {
        self.op.hold.map(|hold| Tracee::start(|| hold(name), |act| act()))
    }

    /// Two survivors, one after the other, in processes of their own.
    fn survivors(&self, name: &Name, victim: Victim) -> Result<(), String> {
        (0..2).try_for_each(|before| child::run(|| survive(&self.op, name, victim, before)))
    }

    /// Steps through the operation once. Whenever the segment has changed, survivors go on with a
    /// copy of it: the victim might have been killed there.
    pub fn crash(&mut self) -> Trace {
        let name = self.template.restore();
        let mut live = Live::new(&name);
        let mut victim = self.victim(&name);
        let mut trace = Trace::default();
        loop {
            let address = victim.instruction();
            if !victim.step() {
                break;
            }
            let changed = live.changed();
            trace.push(address, changed);
            if changed {
                let copy = live.image.restore();
                let result = self.survivors(&copy, self.known(false));
                self.crashes
                    .add(Some(result), &mut self.findings, || format!("a crash at instruction {}", trace.len()));
            }
        }
        let moved = |word| live.image.half(word) != self.template.half(word);
        let right = self.op.moves.is_none_or(moved) && !self.op.stays.is_some_and(moved);
        assert!(right, "{} does not do what its name says", self.op.name);
        trace
    }

    /// Stops a victim at a moment, lets another work in the segment, and then the victim go on.
    /// `None`: it missed it.
    fn stop(&self, moment: Moment) -> Option<Result<(), String>> {
        let name = self.template.restore();
        let mut holder = self.holder(&name);
        let mut victim = self.victim(&name);
        if !victim.run_to(moment) {
            return None;
        }
        let held = holder.as_mut().map_or(Ok(()), Tracee::complete);
        Some(held.and_then(|()| self.go_on(&name, &mut victim)))
    }

    /// Another works beside a stopped victim, which then goes on.
    fn go_on(&self, name: &Name, victim: &mut Tracee) -> Result<(), String> {
        let stopped = self.known(true);
        let beside = child::run(|| survive(&self.op, name, stopped, 0));
        let ended = victim.complete();
        let complete = self.known(true);
        beside.and(ended).and_then(|()| child::run(|| survive(&self.op, name, complete, 1)))
    }

    /// Stops a victim as soon as the segment is like this, lets another work, then the victim go
    /// on. Returns the end.
    pub fn stop_when(&self, is_so: impl Fn(&Image) -> bool) -> Image {
        let name = self.template.restore();
        let mut victim = self.victim(&name);
        let mut live = Live::new(&name);
        while !(live.changed() && is_so(&live.image)) {
            assert!(victim.step(), "the victim does not come to where it is to be stopped");
        }
        let stopped = self.known(true);
        child::run(|| survive(&self.op, &name, stopped, 0)).unwrap();
        victim.complete().unwrap();
        live.changed();
        let end = live.image.clone();
        let complete = self.known(true);
        child::run(|| survive(&self.op, &name, complete, 1)).unwrap();
        end
    }

    /// Kills a victim at a moment. `None`: it missed it.
    fn kill(&self, moment: Moment) -> Option<Result<(), String>> {
        let name = self.template.restore();
        let mut holder = self.holder(&name);
        let mut victim = self.victim(&name);
        if !victim.run_to(moment) {
            return None;
        }
        drop(victim);
        let held = holder.as_mut().map_or(Ok(()), Tracee::complete);
        Some(held.and_then(|()| self.survivors(&name, self.known(false))))
    }

    /// All three ways.
    pub fn disturb(&mut self) {
        let trace = self.crash();
        for (at, moment) in trace.moments() {
            let stopped = self.stop(moment);
            self.stops.add(stopped, &mut self.findings, || format!("a stop at instruction {at}"));
            let killed = self.kill(moment);
            self.kills.add(killed, &mut self.findings, || format!("a kill at instruction {at}"));
        }
        let missed = self.stops.missed + self.kills.missed;
        assert!(4 * missed <= self.stops.runs + self.kills.runs, "{missed} runs missed their moment");
        let Bench { op, crashes, stops, kills, .. } = self;
        let (steps, name) = (trace.len(), op.name);
        let line = format!("{name}: {steps} instructions; crashes: {crashes}; stops: {stops}; kills: {kills}\n");
        // Not captured with what else a test prints.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// What went wrong, in words.
    pub fn findings(&self) -> String {
        self.findings.join("\n")
    }
}

impl Count {
    fn add(&mut self, run: Option<Result<(), String>>, findings: &mut Vec<String>, what: impl Fn() -> String) {
        let Some(result) = run else {
            self.missed += 1;
            return;
        };
        self.runs += 1;
        if let Err(finding) = result {
            self.wrong += 1;
            if findings.len() < KEPT {
                findings.push(format!("{}: {finding}", what()));
            }
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} runs ({} missed), {} wrong", self.runs, self.missed, self.wrong)
    }
}
