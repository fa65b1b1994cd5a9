//! A machine of its own for each test: a cache, a server, a pip.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eval::diagnostic::SourceFile;
use eval::lock::Lock;
use eval::model::Models;
use eval::weights::{Cache, sha256_of_text};
use fetch::{FetchError, Fetched, Options, SourceError};
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) options: Options,
}

impl World {
    pub(crate) fn new() -> Self {
        // Nobody is silent here but by intention: whoever is slow shares the machine with others.
        let options =
            Options { stall: Duration::from_mins(1), pause: Duration::from_millis(5), ..Options::default() };
        Self { folder: tempfile::tempdir().unwrap(), options }
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::at(self.folder.path().join("cache"))
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.folder.path().join("models.lock")
    }

    pub(crate) fn lock(&self) -> Lock {
        Lock::load(&self.lock_path()).unwrap()
    }

    /// Fetches all entries.
    pub(crate) fn fetch_all(&self, entries: &str) -> Vec<(String, Result<Fetched, FetchError>)> {
        let indented = indented(entries);
        let text = format!("version: 1\ndefaults: {{ family: none, class: small }}\nmodels:\n{indented}");
        let file = SourceFile::new("models.yaml", text);
        let models = Models::read(&self.folder.path().join("models.yaml"), &file).unwrap();
        let all: Vec<_> = models.models.iter().collect();
        fetch::fetch(&all, &self.lock_path(), &self.cache(), &self.options, &*fetch::silent())
    }

    /// Fetches one model, `m`.
    pub(crate) fn fetch(&self, entry: &str) -> Result<Fetched, FetchError> {
        self.fetch_all(&format!("m:\n{}", indented(entry))).remove(0).1
    }

    /// Fetches one model, which its only source must not give.
    #[track_caller]
    pub(crate) fn reason(&self, entry: &str) -> SourceError {
        match self.fetch(entry) {
            Err(FetchError::Sources { mut reasons, .. }) if reasons.len() == 1 => reasons.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    /// Where the cache keeps bytes.
    pub(crate) fn place_of(&self, bytes: &[u8], name: &str) -> PathBuf {
        self.cache().file(&sha256(bytes), name)
    }

    pub(crate) fn partial(&self, bytes: &[u8], kind: &str) -> PathBuf {
        self.cache().root().join("partial").join(format!("{}.{kind}", sha256(bytes)))
    }

    /// All files below the cache but the lock.
    pub(crate) fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, files: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, root, files);
                } else {
                    files.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut files = Vec::new();
        walk(self.cache().root(), self.cache().root(), &mut files);
        files.retain(|it| it != "fetch.lock");
        files.sort();
        files
    }

    /// Makes `python3` a script with this body: `$requirement` and `$folder` are what pip was asked for, `$wheels` the
    /// folder of [`World::wheel`]. Each request goes to `pip.log`.
    pub(crate) fn python(&mut self, body: &str) {
        let folder = self.folder.path().display();
        let script = format!(
            "#!/bin/sh\nwheels={folder}/wheels\nfor it; do [ \"$last\" = -d ] && folder=$it; last=$it; done\n\
             requirement=$last\necho \"$requirement\" >> {folder}/pip.log\n{body}\n"
        );
        let path = self.folder.path().join("python3");
        // A shell writes it: a file that this process has open for writing cannot be run while another thread forks.
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(format!("cat > '{0}' && chmod +x '{0}'", path.display()))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
        self.options.python = path;
    }

    /// A pip that copies the wheel.
    pub(crate) fn copying_pip(&mut self) {
        self.python("cp \"$wheels/$requirement.whl\" \"$folder/\"");
    }

    pub(crate) fn pip_log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("pip.log")).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Makes a wheel; gives its path.
    pub(crate) fn wheel(&self, requirement: &str, entries: &[(&str, &[u8])]) -> PathBuf {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        let folder = self.folder.path().join("wheels");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{requirement}.whl"));
        std::fs::write(&path, archive.finish().unwrap().into_inner()).unwrap();
        path
    }
}

fn indented(lines: &str) -> String {
    format!("  {}\n", lines.trim_end().replace('\n', "\n  "))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    eval::weights::hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes))
}

/// Bytes that look like nothing else, beginning as GGUF does.
pub(crate) fn weights(count: usize) -> Vec<u8> {
    let mut seed = sha256_of_text(&count.to_string());
    let mut bytes = b"GGUF".to_vec();
    while bytes.len() < count {
        seed = sha256_of_text(&seed);
        bytes.extend_from_slice(seed.as_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// What was asked of a server.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Asked {
    pub(crate) fn range(&self) -> Option<&str> {
        self.headers.get("range").map(String::as_str)
    }
}

/// What a server answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the connection then hangs instead of ending.
    pub(crate) hangs: bool,
    /// Whether no length is given.
    pub(crate) unsized_body: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn whole(bytes: &[u8]) -> Self {
        Self { status: 200, body: bytes.to_vec(), ..Self::default() }
    }

    /// A file, as a server that knows ranges gives it.
    pub(crate) fn ranged(bytes: &[u8], asked: &Asked) -> Self {
        let Some(range) = asked.range().and_then(|it| it.strip_prefix("bytes=")) else {
            return Self::whole(bytes);
        };
        let (first, last) = range.split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        if first >= bytes.len() {
            return Self::status(416).with("content-range", format!("bytes */{}", bytes.len()));
        }
        let last = last.parse().map_or(bytes.len() - 1, |it: usize| it.min(bytes.len() - 1));
        Self { status: 206, body: bytes[first..=last].to_vec(), ..Self::default() }
            .with("content-range", format!("bytes {first}-{last}/{}", bytes.len()))
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same length, but only so many bytes come.
    pub(crate) fn cut(self, count: usize) -> Self {
        let length = self.body.len().to_string();
        let mut cut = self.with("content-length", length);
        cut.body.truncate(count);
        cut
    }
}

/// A server; it answers until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &log, &*answer));
            }
        });
        Self { address, asked }
    }

    /// Serves one file, with ranges.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self::new(move |asked, _| Answer::ranged(&bytes, asked))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.asked().iter().map(|it| it.range().map(str::to_owned)).collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize) -> Answer) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = lines
        .take_while(|it| !it.is_empty())
        .filter_map(|it| {
            it.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let asked = Asked { path, headers };
    let earlier = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    let mut answer = answer(&asked, earlier);
    if !answer.unsized_body && !answer.headers.iter().any(|(name, _)| name == "content-length") {
        let length = answer.body.len().to_string();
        answer = answer.with("content-length", length);
    }
    let mut head = format!("HTTP/1.1 {} Whatever\r\nconnection: close\r\n", answer.status);
    let headers: Vec<String> =
        answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    head.push_str(&headers.concat());
    let mut stream = stream;
    // A client may have left.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&answer.body));
    if answer.hangs {
        std::thread::sleep(Duration::from_hours(1));
    }
}
