//! An image registry on loopback: the one a node pulls from and a test pushes to.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::image::{Blob, INDEX, Image, MANIFEST};
use super::{Home, PATIENCE, Process, eventually, http, program};

/// A running docker-registry; its storage lies in the node's folder.
pub(crate) struct Registry {
    port: u16,
    process: Process,
}

/// What a push made, and the texts a pod may name it by.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    /// Host, port and path, without tag and digest.
    pub(crate) repository: String,
    pub(crate) tag: String,
    /// Of the manifest or index that the tag points at.
    pub(crate) digest: String,
}

impl Pushed {
    /// `repository:tag`
    pub(crate) fn tagged(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// `repository@digest`
    pub(crate) fn pinned(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

impl fmt::Display for Pushed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}@{}", self.repository, self.tag, self.digest)
    }
}

impl Registry {
    /// Starts one on a port that the kernel picks, and waits until it listens.
    pub(crate) async fn start(home: &Home) -> Self {
        let folder = home.folder("registry");
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\n\
             http: {{ addr: \"127.0.0.1:0\", relativeurls: true }}\n",
            folder.join("data").display()
        );
        super::home::write(&config, 0o644, text.as_bytes());
        let mut command = home.command(&program("docker-registry"));
        command.arg("serve").arg(&config);
        let mut process = Process::start("docker-registry", command, &folder.join("log"));
        let port = eventually("the registry to listen", PATIENCE, || {
            process.must_live();
            let port = port_in(&process.log());
            async move { port }
        })
        .await;
        Self { port, process }
    }

    /// `localhost:PORT`, as in an image's name.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Pushes `image` under a tag, which from then on means this image and no other.
    pub(crate) async fn push(&self, path: &str, tag: &str, image: &Image) -> Pushed {
        self.upload(path, image).await;
        self.put_manifest(path, tag, MANIFEST, &image.manifest).await
    }

    /// Pushes an index of `images` under a tag. The first is the one a node of this platform runs.
    pub(crate) async fn push_index(&self, path: &str, tag: &str, images: &[&Image]) -> Pushed {
        for image in images {
            self.upload(path, image).await;
            self.put_manifest(path, &image.manifest.digest, MANIFEST, &image.manifest).await;
        }
        self.put_manifest(path, tag, INDEX, &Image::index(images)).await
    }

    /// Stops answering, without closing a connection, until [`Registry::thaw`].
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    async fn upload(&self, path: &str, image: &Image) {
        for blob in image.layers.iter().chain([&image.config]) {
            self.upload_blob(path, blob).await;
        }
    }

    async fn upload_blob(&self, path: &str, blob: &Blob) {
        let target = format!("/v2/{path}/blobs/{}", blob.digest);
        if self.send("HEAD", &target, &[], b"").await.status == 200 {
            return;
        }
        let upload = self.send("POST", &format!("/v2/{path}/blobs/uploads/"), &[], b"").await;
        let location = upload.header("Location").expect("the registry names a place to upload to");
        let target = format!("{location}&digest={}", blob.digest);
        let headers = [("Content-Type", "application/octet-stream")];
        let done = self.send("PUT", &target, &headers, &blob.bytes).await;
        assert_eq!(done.status, 201, "{}", String::from_utf8_lossy(&done.body));
    }

    async fn put_manifest(&self, path: &str, reference: &str, media_type: &str, manifest: &Blob) -> Pushed {
        let target = format!("/v2/{path}/manifests/{reference}");
        let done = self.send("PUT", &target, &[("Content-Type", media_type)], &manifest.bytes).await;
        assert_eq!(done.status, 201, "{}", String::from_utf8_lossy(&done.body));
        Pushed {
            repository: format!("{}/{path}", self.host()),
            tag: reference.to_owned(),
            digest: manifest.digest.clone(),
        }
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> http::Response {
        let request = http::request(self.port, method, target, headers, body);
        let answer = tokio::time::timeout(Duration::from_secs(20), request).await;
        answer
            .unwrap_or_else(|_| panic!("the registry does not answer {method} {target}"))
            .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }
}

/// The registry logs `listening on 127.0.0.1:PORT`.
fn port_in(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("listening on 127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
