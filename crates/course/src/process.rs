//! The program of an exercise while it runs: all that it starts is ended with it, and of
//! what it prints no more is kept than a reader can look at.

use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::io::{self, PipeReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A program that has printed more than this is stopped.
pub const MOST_PRINTED: u64 = 64 << 20;
/// How much is kept of the beginning of what it prints, and how much of the end.
const KEPT: usize = 4 << 10;
/// How long is waited for the rest of the output when the program has ended. A process
/// that it started may have left its group and hold the pipe open.
const REST: Duration = Duration::from_millis(300);
/// How often one looks at a program while it runs.
const BEAT: Duration = Duration::from_millis(100);
/// How often, and after which pause, a program is started again that is still being written.
const BUSY: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// By itself.
    Of(ExitStatus),
    /// It was stopped when its time was up.
    Late,
    /// It was stopped when it had printed too much.
    Loud,
    /// It was stopped by the one who looks at it.
    Stopped,
}

/// Starts a program that may just have been written. Another thread that starts one at this
/// moment holds our open files until its own program has begun, the one that was being written
/// too, and such a file cannot be run; so it is tried again for a while.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(PAUSE);
            }
            child => return child,
        }
    }
    command.spawn()
}

/// Runs `command` for as long as `limit`, and returns how it ended and what it printed on
/// both streams, in the order in which it did, without escape sequences. `goes_on` is asked from
/// time to time whether it may.
///
/// # Errors
/// When it cannot be run, or not be waited for.
pub fn run(
    mut command: Command,
    limit: Duration,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<(End, String)> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let printed = Arc::default();
    let rest = follow(reader, Arc::clone(&printed)).context("cannot start a thread")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("cannot make a pipe")?)
        .stderr(writer);
    group::lead(&mut command);
    let child = spawn(&mut command);
    // The ends of the pipe that it holds: without them the output ends with the program.
    let program = command.get_program().to_owned();
    drop(command);
    let mut child = child.with_context(|| format!("cannot run {}", program.display()))?;
    let end = wait(&mut child, &printed, limit, goes_on);
    let status = group::end(&mut child).context("cannot stop the exercise")?;
    // What it printed last may still be on its way; an error says that all has come.
    let _ = rest.recv_timeout(REST);
    let text = lock(&printed).text();
    let end = match end.context("cannot wait for the exercise")? {
        None => End::Of(status),
        Some(stopped) => stopped,
    };
    Ok((end, text))
}

/// Waits until the program has ended by itself, or must be stopped.
fn wait(
    child: &mut Child,
    printed: &Mutex<Printed>,
    limit: Duration,
    goes_on: &mut dyn FnMut() -> bool,
) -> io::Result<Option<End>> {
    let start = Instant::now();
    let mut looked = start;
    while !group::has_ended(child)? {
        if start.elapsed() > limit {
            return Ok(Some(End::Late));
        }
        if lock(printed).length > MOST_PRINTED {
            return Ok(Some(End::Loud));
        }
        if looked.elapsed() > BEAT {
            looked = Instant::now();
            if !goes_on() {
                return Ok(Some(End::Stopped));
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(None)
}

/// Reads the pipe as it fills, or a talkative program would block.
fn follow(mut pipe: PipeReader, printed: Arc<Mutex<Printed>>) -> io::Result<Receiver<()>> {
    let (sender, rest) = channel();
    thread::Builder::new().spawn(move || {
        let mut part = vec![0; 64 << 10];
        // What was read before an error is still worth showing.
        while let Ok(count @ 1..) = pipe.read(&mut part) {
            lock(&printed).take(&part[..count]);
        }
        drop(sender);
    })?;
    Ok(rest)
}

fn lock(printed: &Mutex<Printed>) -> MutexGuard<'_, Printed> {
    printed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning and the end of what was printed.
#[derive(Default)]
struct Printed {
    first: Vec<u8>,
    last: VecDeque<u8>,
    length: u64,
}

impl Printed {
    fn take(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        let (first, part) = part.split_at(part.len().min(KEPT - self.first.len()));
        self.first.extend(first);
        let part = &part[part.len().saturating_sub(KEPT)..];
        let over = (self.last.len() + part.len()).saturating_sub(KEPT);
        self.last.drain(..over);
        self.last.extend(part);
    }

    fn text(&self) -> String {
        let left_out = self.length - self.first.len() as u64 - self.last.len() as u64;
        let mut bytes = self.first.clone();
        if left_out > 0 {
            bytes.extend(format!("\n… {left_out} bytes are left out here …\n").bytes());
        }
        bytes.extend(&self.last);
        plain(&String::from_utf8_lossy(&bytes))
    }
}

/// `text` without escape sequences and other characters that a terminal would obey.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    text.replace("\r\n", "\n")
        .replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "")
}

/// All processes of a program, for what it has started must end with it.
#[cfg(unix)]
mod group {
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, ExitStatus};

    /// Makes the program the first of a group of its own.
    pub fn lead(command: &mut Command) {
        command.process_group(0);
    }

    /// Whether the program has ended. It is left as it is: until it is waited for, no
    /// other process can have its number, and so none its group.
    pub fn has_ended(child: &mut Child) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(child)), options)?;
        Ok(status.is_some())
    }

    /// Ends every process of the group.
    pub fn end(child: &mut Child) -> io::Result<ExitStatus> {
        // An error says that none is left.
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        child.wait()
    }
}

/// Where there are no groups of processes, the program alone is ended.
#[cfg(not(unix))]
mod group {
    use std::io;
    use std::process::{Child, Command, ExitStatus};

    pub fn lead(_: &mut Command) {}

    pub fn has_ended(child: &mut Child) -> io::Result<bool> {
        Ok(child.try_wait()?.is_some())
    }

    pub fn end(child: &mut Child) -> io::Result<ExitStatus> {
        // An error says that it has ended by itself.
        let _ = child.kill();
        child.wait()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (End, String) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit, &mut || true).unwrap()
    }

    #[test]
    fn it_is_stopped_by_the_one_who_looks_at_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo hello; sleep 600"]);
        let mut looks = 0;
        let (end, text) = run(command, LONG, &mut || {
            looks += 1;
            looks < 3
        })
        .unwrap();
        assert_eq!((end, text.as_str(), looks), (End::Stopped, "hello\n", 3));
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn both_streams_are_kept_in_their_order() {
        let (end, text) = shell("echo one; echo two >&2; printf 'three'; exit 3", LONG);
        assert_eq!(text, "one\ntwo\nthree");
        assert!(matches!(end, End::Of(status) if status.code() == Some(3)));
    }

    /// A shell that runs `script` with `$file` beside a process that writes this file
    /// again and again; whether it still does when all is over.
    fn leaves_behind(script: &str, limit: Duration) -> (End, String, bool) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let script = format!(
            "file={file:?}; (while :; do echo x > $file; sleep 0.05; done) & \
             while [ ! -s $file ]; do :; done; {script}"
        );
        let (end, text) = shell(&script, limit);
        let _ = std::fs::remove_file(&file);
        thread::sleep(Duration::from_millis(500));
        (end, text, file.exists())
    }

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let (end, text, left) = leaves_behind("echo done", LONG);
        assert!(matches!(end, End::Of(status) if status.success()));
        assert_eq!((text.as_str(), left), ("done\n", false));
    }

    #[test]
    fn all_of_it_is_ended_when_the_time_is_up() {
        let (end, text, left) = leaves_behind("echo hello; sleep 600", Duration::from_secs(3));
        assert_eq!((end, text.as_str(), left), (End::Late, "hello\n", false));
    }

    /// A process that has left the group, and holds the pipe, is not waited for.
    #[test]
    fn a_process_that_escapes_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!(
            "file={file:?}; export file; setsid sh -c 'echo $$ > $file; exec sleep 600' & \
             while [ ! -s $file ]; do :; done; echo hello"
        );
        let (end, text) = shell(&script, LONG);
        assert!(matches!(end, End::Of(status) if status.success()));
        assert_eq!(text, "hello\n");
        let pid = std::fs::read_to_string(file).unwrap();
        let stopped = Command::new("kill").arg(pid.trim()).status().unwrap();
        assert!(stopped.success(), "it has been waited for");
    }

    #[test]
    fn a_program_that_never_stops_printing_is_stopped() {
        let (end, text) = shell("yes", LONG);
        assert_eq!(end, End::Loud);
        assert!(text.len() < 3 * KEPT);
    }

    #[test]
    fn much_output_costs_nothing_and_its_two_ends_are_kept() {
        let (end, text) = shell("echo first; yes | head -c 3000000; echo last", LONG);
        assert!(matches!(end, End::Of(status) if status.success()));
        assert!(text.starts_with("first\ny\n") && text.ends_with("y\nlast\n"));
        assert!(
            text.contains("\n… 2991819 bytes are left out here …\n"),
            "{}",
            text.len()
        );
    }

    #[test]
    fn a_part_of_any_length_is_taken() {
        for part in [1, 7, KEPT - 1, KEPT, KEPT + 1, 3 * KEPT] {
            let mut printed = Printed::default();
            let bytes: Vec<u8> = (0..4 * KEPT).map(|at| b'a' + (at % 23) as u8).collect();
            bytes.chunks(part).for_each(|part| printed.take(part));
            assert_eq!(printed.first, bytes[..KEPT]);
            assert_eq!(printed.last, &bytes[3 * KEPT..]);
            assert_eq!(printed.length, bytes.len() as u64);
        }
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(
            plain("a\u{1b}[31mb\u{1b}[0m\u{1b}]0;title\u{7}\tc\r\nd\re\u{8}\u{9b}2J"),
            "ab\tc\nde2J"
        );
    }
}
