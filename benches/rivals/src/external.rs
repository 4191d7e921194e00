//! Contestants that are programs of their own: ours where the kernel or glibc has no restartable
//! sequences, and Python.
//!
//! They read a line `row start nanoseconds`, update for so long from that moment of the monotonic
//! clock on, and answer with three numbers: the updates, the nanoseconds they took, and 1 if no
//! other process disturbed them and they began in time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::contest::{Row, OURS};
use crate::machine::{self, SLICE};
use crate::pair::{self, Slice};
use crate::rivals::ours;

/// What turns restartable sequences off: in glibc, and in the library.
pub const WITHOUT_RSEQ: [(&str, &str); 2] = [("GLIBC_TUNABLES", "glibc.pthread.rseq=0"), ("SHMETRICS_RSEQ", "0")];

/// A running program.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Option<Program> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let input = child.stdin.take()?;
        let output = BufReader::new(child.stdout.take()?);
        Some(Program { child, input, output })
    }

    fn order(&mut self, row: Row, start: u64) {
        let _ = writeln!(self.input, "{} {start} {}", row.name(), SLICE.as_nanos());
    }

    /// Nothing was done if it has failed.
    fn answer(&mut self) -> Slice {
        let mut line = String::new();
        let _ = self.output.read_line(&mut line);
        let figures: Vec<u64> = line.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        match figures[..] {
            [ops, ns, undisturbed] => Slice { ops, ns, wall: ns, undisturbed: undisturbed == 1 },
            _ => Slice::default(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two programs that update the same metrics, on a processor each.
pub struct External {
    pub name: &'static str,
    pub note: &'static str,
    /// What it can do.
    pub rows: &'static [Row],
    programs: [Program; 2],
}

impl External {
    /// Ours, both over one segment, whose name goes as soon as they have it.
    pub fn without_rseq() -> Option<External> {
        let segment = format!("bench-{}-{OURS}", std::process::id());
        let program = |cpu: usize| {
            let mut command = Command::new(std::env::current_exe().ok()?);
            command.envs(WITHOUT_RSEQ).args(["serve", &segment, &cpu.to_string()]);
            Program::start(&mut command)
        };
        let [first, last] = machine::processors();
        let name = "shmetrics, without rseq";
        let mut pair = External {
            name,
            note: "compares the strings",
            rows: &Row::ALL,
            programs: [program(first)?, program(last)?],
        };
        let answers = pair.both(Row::Inc);
        let _ = shmetrics::Segment::remove(&segment);
        answers.iter().all(|slice| slice.ops > 0).then_some(pair)
    }

    /// Python's `prometheus_client` in its multiprocess mode, with files in the directory.
    pub fn python(directory: &std::path::Path) -> Option<External> {
        let python = std::env::var("BENCH_PYTHON").ok().filter(|python| !python.is_empty())?;
        std::fs::create_dir_all(directory).ok()?;
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python_client.py");
        let program = |cpu: usize| {
            let mut command = Command::new(&python);
            command.env("PROMETHEUS_MULTIPROC_DIR", directory).arg(&script).args(["serve", &cpu.to_string()]);
            Program::start(&mut command)
        };
        let [first, last] = machine::processors();
        let name = "Python prometheus_client, multiprocess";
        let rows = &[Row::Inc, Row::Lookup, Row::Observe, Row::GaugeSet, Row::GaugeInc];
        Some(External { name, note: "compares", rows, programs: [program(first)?, program(last)?] })
    }

    pub fn alone(&mut self, row: Row) -> [Slice; 1] {
        self.programs[0].order(row, soon());
        [self.programs[0].answer()]
    }

    pub fn both(&mut self, row: Row) -> [Slice; 2] {
        let start = soon();
        self.programs.iter_mut().for_each(|program| program.order(row, start));
        self.programs.each_mut().map(Program::answer)
    }
}

/// Nanoseconds that one of two may begin after the other.
const LATE: u64 = 50_000;

/// When both have read their orders, and are awake.
fn soon() -> u64 {
    machine::monotonic() + 300_000 + machine::DROWSY.as_nanos() as u64
}

/// The other side, for ours.
pub fn serve(segment: &str, cpu: usize) {
    ours::share(segment);
    machine::pin(cpu);
    let ours = ours::rust();
    let works = Row::ALL.map(|row| (ours.work)(row).map(|work| (pair::chunk(&work), work)));
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let mut words = line.split(' ');
        let Some(row) = words.next().and_then(Row::named) else { return };
        let Some((chunk, work)) = &works[row as usize] else { return };
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        let (start, duration) = (number(), std::time::Duration::from_nanos(number()));
        while machine::monotonic() < start {
            std::hint::spin_loop();
        }
        let in_time = machine::monotonic() < start + LATE;
        let slice = pair::run_for(work, *chunk, duration);
        println!("{} {} {}", slice.ops, slice.ns, u8::from(slice.undisturbed && in_time));
    }
}
