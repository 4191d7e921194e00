//! The workers: started, killed, replaced, and dismissed, with the ledger of each added up.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ledger::{follow, Tally};
use crate::failure::Failure;

/// How long a dismissed worker may take; it is killed then, as one that was stopped by hand would
/// be.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is known when all are gone.
#[derive(Default)]
pub(super) struct Roll {
    pub(super) tally: Tally,
    pub(super) started: u64,
    pub(super) killed: u64,
    /// Those of the killed that had been asked to end first.
    pub(super) unwilling: u64,
}

pub(super) struct Crew {
    program: PathBuf,
    segment: String,
    workers: Vec<Worker>,
    /// Of those that are gone.
    roll: Roll,
    last_killed: Option<u32>,
}

struct Worker {
    child: Child,
    tally: Arc<Mutex<Tally>>,
    follower: JoinHandle<io::Result<()>>,
}

impl Crew {
    pub(super) fn start(segment: &str, size: u8) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::system("cannot find this program's own file"))?;
        let mut crew = Crew {
            program,
            segment: segment.to_owned(),
            workers: Vec::new(),
            roll: Roll::default(),
            last_killed: None,
        };
        for _ in 0..size {
            let worker = crew.hire()?;
            crew.workers.push(worker);
        }
        Ok(crew)
    }

    fn hire(&mut self) -> Result<Worker, Failure> {
        let mut child = Command::new(&self.program)
            .args(["demo-worker", &self.segment])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the demo, which then dismisses its workers.
            .process_group(0)
            .spawn()
            .map_err(Failure::system("cannot start a worker"))?;
        self.roll.started += 1;
        let pipe = child.stdout.take().expect("the worker was given a pipe");
        let tally = Arc::new(Mutex::new(Tally::default()));
        let shared = Arc::clone(&tally);
        let follower = thread::spawn(move || follow(pipe, &shared));
        Ok(Worker { child, tally, follower })
    }

    /// Kills a worker in the middle of whatever it does, and puts another in its place.
    pub(super) fn kill_one(&mut self, place: usize) -> Result<(), Failure> {
        let child = &mut self.workers[place].child;
        let status = child.kill().and_then(|()| child.wait()).map_err(Failure::system("cannot kill a worker"))?;
        self.replace(place, status)
    }

    /// Replaces those that somebody else has killed.
    pub(super) fn tend(&mut self) -> Result<(), Failure> {
        for place in 0..self.workers.len() {
            let status = self.workers[place].child.try_wait();
            if let Some(status) = status.map_err(Failure::system("cannot look after a worker"))? {
                self.replace(place, status)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, place: usize, status: ExitStatus) -> Result<(), Failure> {
        let pid = self.workers[place].child.id();
        if status.signal().is_none() {
            return Err(Failure::Said(format!("worker {pid} gave up ({status})")));
        }
        let successor = self.hire()?;
        let gone = std::mem::replace(&mut self.workers[place], successor);
        self.last_killed = Some(pid);
        self.enter(gone, status)
    }

    /// Ends all of them, the ledgers complete.
    pub(super) fn dismiss(mut self) -> Result<Roll, Failure> {
        for worker in &mut self.workers {
            drop(worker.child.stdin.take());
        }
        let deadline = Instant::now() + FAREWELL;
        while let Some(mut worker) = self.workers.pop() {
            let ended = await_end(&mut worker.child, deadline);
            let status = ended.map_err(Failure::system("cannot dismiss a worker"))?;
            if !status.success() && status.signal().is_none() {
                return Err(Failure::Said(format!("worker {} failed ({status})", worker.child.id())));
            }
            self.roll.unwilling += u64::from(status.signal().is_some());
            self.enter(worker, status)?;
        }
        Ok(std::mem::take(&mut self.roll))
    }

    fn enter(&mut self, gone: Worker, status: ExitStatus) -> Result<(), Failure> {
        let pid = gone.child.id();
        let followed = gone.follower.join().unwrap_or_else(|_| Err(io::Error::other("its reader panicked")));
        followed.map_err(Failure::system(format!("cannot read the ledger of worker {pid}")))?;
        let tally = *gone.tally.lock().unwrap_or_else(PoisonError::into_inner);
        self.roll.tally.add(&tally);
        self.roll.killed += u64::from(status.signal().is_some());
        Ok(())
    }

    /// The ledgers as far as they have been read, of the living and the dead.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = self.roll.tally;
        for worker in &self.workers {
            sum.add(&worker.tally.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.workers.iter().map(|worker| worker.child.id())
    }

    pub(super) fn killed(&self) -> (u64, Option<u32>) {
        (self.roll.killed, self.last_killed)
    }
}

impl Drop for Crew {
    /// The way out of a failure: nobody is left behind.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

fn await_end(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()
}
