//! A real browser, driven over the DevTools protocol: JSON on one web socket.
#![allow(dead_code, reason = "each test of pages uses what it needs")]

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};
use tungstenite::{Message, WebSocket};

/// An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(90);

/// A script's function that names the words of a drawing which lie on others: of letters, the
/// part between the line and the height of an x is looked at.
pub const COLLISIONS: &str = r#"
    const collisions = (svg) => {
        if (!svg.checkVisibility()) return [];
        const label = svg.closest("[id]")?.id ?? svg.closest("[data-live]")?.dataset.live ?? "a drawing";
        const words = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim()).map((text) => {
            const box = text.getBoundingClientRect();
            const { a, b } = text.getScreenCTM();
            const high = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
            // Text may stand upright.
            const [x, y] = Math.abs(a) > Math.abs(b) ? [1, 0.3 * high] : [0.3 * high, 1];
            return { said: text.textContent, left: box.left + x, right: box.right - x, top: box.top + y, bottom: box.bottom - y };
        });
        const bad = [];
        const sheet = svg.getBoundingClientRect();
        words.filter((one) => one.left < sheet.left || one.right > sheet.right).forEach((one) => bad.push('“' + one.said + '” is cut at the edge: ' + label));
        words.forEach((one, at) => words.slice(at + 1).forEach((other) => {
            const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
            const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
            if (across > 0 && down > 0) bad.push('“' + one.said + '” and “' + other.said + '” lie on one another: ' + label);
        }));
        return bad;
    };
"#;

pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    sent: u64,
    /// What the pages did, since [`Browser::take_events`]: method and parameters.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// One tab.
#[derive(Clone)]
pub struct Tab {
    session: String,
    target: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Starts Chromium without a window. Where there is none, says so and returns nothing;
    /// `COURSE_NEEDS_BROWSER=1` makes that an error.
    pub fn start() -> Option<Self> {
        let names = course::program::chromium().into_iter();
        let profile = tempfile::tempdir().unwrap();
        let Some(mut child) = names.filter_map(|name| launch(&name, &profile)).next() else {
            assert!(
                env::var_os("COURSE_NEEDS_BROWSER").is_none(),
                "there is no Chromium, and COURSE_NEEDS_BROWSER asks for one"
            );
            // Past the capture of the test's own output, so that it is seen.
            eprintln!("SKIPPED: there is no Chromium on the PATH nor in CHROMIUM");
            return None;
        };
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(
                said.read_line(&mut line).unwrap() > 0,
                "Chromium ended before it could be talked to"
            );
            if let Some(address) = line.trim().strip_prefix("DevTools listening on ") {
                break address.to_owned();
            }
        };
        // The rest is read and dropped, or a full pipe would stop the browser.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let host = address.trim_start_matches("ws://");
        let host = host.split('/').next().unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(address, stream).unwrap();
        Some(Self {
            child,
            socket,
            sent: 0,
            events: Vec::new(),
            _profile: profile,
        })
    }

    /// Opens a tab whose console, errors and requests are noted.
    pub fn tab(&mut self) -> Tab {
        let made = self.send(None, "Target.createTarget", json!({"url": "about:blank"}));
        let target = made["targetId"].as_str().unwrap().to_owned();
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.send(None, "Target.attachToTarget", attach);
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let tab = Tab { session, target };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&tab, &format!("{domain}.enable"), json!({}));
        }
        let on = json!({"enabled": true});
        self.call(&tab, "Page.setLifecycleEventsEnabled", on);
        tab
    }

    /// Sends a command to a tab and returns the result.
    #[track_caller]
    pub fn call(&mut self, tab: &Tab, method: &str, parameters: Value) -> Value {
        self.send(Some(&tab.session), method, parameters)
    }

    /// Opens an address and waits until all of the page is there.
    #[track_caller]
    pub fn open(&mut self, tab: &Tab, url: &str) {
        let gone = self.call(tab, "Page.navigate", json!({"url": url}));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        let loader = &gone["loaderId"];
        let loaded = |event: &Value| {
            let what = &event["params"];
            event["method"] == "Page.lifecycleEvent"
                && what["name"] == "load"
                && &what["loaderId"] == loader
        };
        let start = Instant::now();
        while !self.events.iter().any(loaded) {
            assert!(start.elapsed() < PATIENCE, "{url} is loading for ever");
            self.receive();
        }
    }

    /// The value of a JavaScript expression; of a promise, what it comes to.
    #[track_caller]
    pub fn value(&mut self, tab: &Tab, expression: &str) -> Value {
        let what = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let answer = self.call(tab, "Runtime.evaluate", what);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}\n{}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true of the page.
    #[track_caller]
    pub fn wait(&mut self, tab: &Tab, expression: &str) {
        let wait = format!(
            "new Promise((done, late) => {{
                setTimeout(() => late(new Error('it never comes: ' + document.body.innerText)), {});
                const look = () => {{ if ({expression}) done(true); else setTimeout(look, 20); }};
                look();
            }})",
            PATIENCE.as_millis() - 5000
        );
        self.value(tab, &wait);
    }

    /// Waits for the page to be another than the one in which `before` is true.
    pub fn wait_for_reload(&mut self, tab: &Tab, before: &str) {
        while self.value(
            tab,
            &format!("!!({before}) || document.readyState !== 'complete'"),
        ) == true
        {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the pages did since the last call.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// Closes a tab.
    pub fn close(&mut self, tab: &Tab) {
        self.send(None, "Target.closeTarget", json!({"targetId": tab.target}));
    }

    #[track_caller]
    fn send(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        self.socket
            .send(Message::text(message.to_string()))
            .unwrap();
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "no answer to {method}");
            let answer = self.receive();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// The next message; an event is also noted.
    fn receive(&mut self) -> Value {
        loop {
            let message = self
                .socket
                .read()
                .expect("the browser says nothing any more");
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).unwrap();
                if !message["method"].is_null() {
                    self.events.push(message.clone());
                }
                return message;
            }
        }
    }
}

fn launch(name: &OsStr, profile: &tempfile::TempDir) -> Option<Child> {
    Command::new(name)
        .args([
            "--headless",
            // The tests run in containers, where the sandbox cannot; the pages are ours.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--no-first-run",
            "--remote-debugging-port=0",
            // A name that is not this machine's leads nowhere.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("about:blank")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()
}
