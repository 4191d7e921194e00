//! A screen that is drawn again and again, where there is a terminal.

use std::io::{self, IsTerminal, Write};

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K\n";
const REST_OF_SCREEN: &str = "\x1b[J";

/// The terminal as it was comes back when this is dropped.
pub(crate) struct Screen {
    is_terminal: bool,
}

impl Screen {
    pub(crate) fn open() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let is_terminal = io::stdout().is_terminal() && !dumb;
        if is_terminal {
            let _ = write!(io::stdout(), "{ENTER}");
        }
        Screen { is_terminal }
    }

    /// How many lines fit; none where there is no terminal.
    pub(crate) fn lines(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| self.is_terminal)?;
        Some(usize::from(size.ws_row).max(2))
    }

    /// In place of what is there, or after it where there is no terminal.
    pub(crate) fn draw(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_terminal {
            // The last line has no end, which would move all up.
            let text = text.trim_end_matches('\n').replace('\n', END_OF_LINE);
            write!(out, "{HOME}{text}\x1b[K{REST_OF_SCREEN}")?;
        } else {
            out.write_all(text.as_bytes())?;
        }
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let mut out = io::stdout();
            let _ = write!(out, "{LEAVE}").and_then(|()| out.flush());
        }
    }
}
