//! The terminal in raw mode, which is restored on every way out; its keys; and the signals that
//! stop and continue the process.

use std::io::{self, IsTerminal, Stdout, Write};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::{Position, Rect};
use ratatui::Frame;
use rustix::process::{getpid, kill_process, Signal};
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};

pub(super) struct Terminal {
    /// Never dropped: on a terminal that is gone, its destructor would panic. `leave` shows the
    /// cursor.
    inner: ManuallyDrop<ratatui::Terminal<CrosstermBackend<Stdout>>>,
}

/// Whether there is a terminal to draw on.
pub(super) fn is_there() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && !dumb
}

impl Terminal {
    pub(super) fn open() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
        enter()?;
        match ratatui::Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(inner) => Ok(Terminal { inner: ManuallyDrop::new(inner) }),
            Err(e) => {
                leave();
                Err(e)
            }
        }
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.inner.draw(draw).map(drop)
    }

    /// Draws all of it next time. `clear` would ask the terminal for its cursor, and the thread
    /// that reads keys would take the answer.
    fn redraw(&mut self) -> io::Result<()> {
        let size = self.inner.size()?;
        self.inner.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Stops this process, as Ctrl-Z does, with the terminal as the shell wants it. Returns when
    /// the process is continued.
    pub(super) async fn suspend(&mut self, jobs: &mut JobControl) -> io::Result<()> {
        leave();
        kill_process(getpid(), Signal::STOP)?;
        // Another thread may take the signal, so this one may run for a moment.
        while !matches!(jobs.next().await, Job::GoOn) {}
        self.resume()
    }

    /// After the process was continued: the shell has its own mode.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        enter()?;
        self.redraw()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
        // The hook would write to a terminal that another program has by then.
        if !std::thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

/// Whether the terminal is changed. A second `leave` would move the cursor over what was written
/// since the first.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

fn enter() -> io::Result<()> {
    IS_ENTERED.store(true, SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

fn leave() {
    if !IS_ENTERED.swap(false, SeqCst) {
        return;
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = io::stdout().flush();
}

/// Keys and changes of the size, from a thread that waits for them.
pub(super) fn events() -> UnboundedReceiver<Event> {
    let (to, from) = unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if to.send(event).is_err() {
                break;
            }
        }
    });
    from
}

/// SIGTSTP and SIGCONT: another process stops and continues this one.
pub(super) struct JobControl {
    stop: tokio::signal::unix::Signal,
    go_on: tokio::signal::unix::Signal,
}

pub(super) enum Job {
    Stop,
    GoOn,
}

impl JobControl {
    pub(super) fn listen() -> io::Result<Self> {
        let open = |of: Signal| signal(SignalKind::from_raw(of.as_raw()));
        Ok(JobControl { stop: open(Signal::TSTP)?, go_on: open(Signal::CONT)? })
    }

    pub(super) async fn next(&mut self) -> Job {
        tokio::select! {
            _ = self.stop.recv() => Job::Stop,
            _ = self.go_on.recv() => Job::GoOn,
        }
    }
}
