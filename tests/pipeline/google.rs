//! What answers as Cloud KMS and as Container Analysis do, as far as a pipeline asks them, and can misbehave. Neither
//! can be had without Google.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};

pub(crate) const VERSION: &str =
    "projects/p/locations/us-central1/keyRings/prod-binauthz/cryptoKeys/attestor-key/cryptoKeyVersions/1";

/// What is wrong with its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The caller may not.
    Forbidden,
    /// A bit of the signature is turned after it was summed up.
    SpoiltSignature,
    /// It did not check the sum of the digest.
    UnverifiedDigest,
    /// The answer is about another key version.
    AnotherVersion,
    /// An algorithm that attestors cannot have.
    UnknownAlgorithm,
    /// It files another digest than it was sent.
    AnotherDigest,
    /// It files another signature.
    AnotherSignature,
}

/// Runs until the test ends.
pub(crate) struct Google {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    key: SigningKey,
    fault: Mutex<Fault>,
    filed: Mutex<BTreeMap<String, Value>>,
    notes: Mutex<Vec<String>>,
    /// Method, path, token.
    asked: Mutex<Vec<(String, String, Option<String>)>>,
}

impl Google {
    /// With `key` for its key version.
    pub(crate) fn start(key: SigningKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            key,
            fault: Mutex::new(Fault::None),
            filed: Mutex::default(),
            notes: Mutex::default(),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                // Whoever hangs up is no concern of a server.
                std::thread::spawn(move || drop(shared.serve(stream.unwrap())));
            }
        });
        Self { url, state }
    }

    pub(crate) fn fault(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
    }

    pub(crate) fn filed(&self) -> Vec<Value> {
        self.state.filed.lock().unwrap().values().cloned().collect()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.state.notes.lock().unwrap().clone()
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<(String, String, Option<String>)> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }
}

impl State {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let (mut length, mut token) = (0, None);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => token = Some(value.strip_prefix("Bearer ").unwrap().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = target.split('?').next().unwrap().to_owned();
        self.asked.lock().unwrap().push((method.clone(), path.clone(), token));
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, answer) = self.answer(&method, &path, &target, &body);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        stream.write_all(answer.as_bytes())
    }

    fn answer(&self, method: &str, path: &str, target: &str, body: &Value) -> (u16, Value) {
        let fault = *self.fault.lock().unwrap();
        if fault == Fault::Forbidden {
            let message = "Permission 'cloudkms.cryptoKeyVersions.useToSign' denied";
            return (403, json!({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}));
        }
        let version = format!("/v1/{VERSION}");
        match (method, path) {
            ("GET", path) if path == format!("{version}/publicKey") => (200, self.public_key(fault)),
            ("POST", path) if path == format!("{version}:asymmetricSign") => (200, self.sign(fault, body)),
            ("GET", path) if path.ends_with("/occurrences") => {
                let note = path.strip_prefix("/v1/").unwrap().strip_suffix("/occurrences").unwrap();
                let filed = self.filed.lock().unwrap();
                let of_it = |filed: &&Value| filed["noteName"] == note;
                // As the servers of the field: with an eye for the digest, and no more.
                let of_digest = |filed: &&Value| {
                    let uri = filed["resourceUri"].as_str().unwrap();
                    target.contains(uri.rsplit_once(':').unwrap().1)
                };
                let found: Vec<_> = filed.values().filter(of_it).filter(of_digest).cloned().collect();
                (200, json!({ "occurrences": found }))
            }
            ("POST", "/v1/projects/p/occurrences") => (200, self.file(fault, body)),
            ("POST", "/v1/projects/p/notes") => {
                let name = body["name"].as_str().unwrap().to_owned();
                assert!(
                    target.ends_with(&format!("?noteId={}", name.rsplit_once('/').unwrap().1)),
                    "{target}"
                );
                let mut notes = self.notes.lock().unwrap();
                if notes.contains(&name) {
                    return (409, json!({"error": {"code": 409, "status": "ALREADY_EXISTS"}}));
                }
                notes.push(name);
                (200, body.clone())
            }
            _ => (404, json!({"error": {"code": 404, "message": format!("{method} {path}")}})),
        }
    }

    fn public_key(&self, fault: Fault) -> Value {
        let algorithm =
            if fault == Fault::UnknownAlgorithm { "EC_SIGN_SECP256K1_SHA256" } else { "EC_SIGN_P256_SHA256" };
        json!({"name": VERSION, "algorithm": algorithm, "pem": "", "protectionLevel": "SOFTWARE"})
    }

    fn sign(&self, fault: Fault, body: &Value) -> Value {
        let digest = BASE64_STANDARD.decode(body["digest"]["sha256"].as_str().unwrap()).unwrap();
        let sum: u32 = body["digestCrc32c"].as_str().unwrap().parse().unwrap();
        assert_eq!(sum, crc32c::crc32c(&digest), "the digest came as it was sent");
        let signature: DerSignature = self.key.sign_prehash(&digest).unwrap();
        let mut signature = signature.as_bytes().to_vec();
        let sum = crc32c::crc32c(&signature);
        if fault == Fault::SpoiltSignature {
            *signature.last_mut().unwrap() ^= 1;
        }
        json!({
            "signature": BASE64_STANDARD.encode(&signature),
            "signatureCrc32c": sum.to_string(),
            "verifiedDigestCrc32c": fault != Fault::UnverifiedDigest,
            "name": if fault == Fault::AnotherVersion { VERSION.replace("/1", "/2") } else { VERSION.to_owned() },
            "protectionLevel": "SOFTWARE",
        })
    }

    fn file(&self, fault: Fault, body: &Value) -> Value {
        assert_eq!((body.get("name"), body.get("createTime")), (None, None), "the server chooses these");
        let mut filed = self.filed.lock().unwrap();
        let name = format!("projects/p/occurrences/{}", filed.len() + 1);
        let mut occurrence = body.clone();
        occurrence["name"] = json!(name);
        occurrence["createTime"] = json!("2026-11-26T00:00:00Z");
        match fault {
            Fault::AnotherDigest => {
                occurrence["resourceUri"] = json!(format!("https://r.example/a@sha256:{}", "ee".repeat(32)));
            }
            Fault::AnotherSignature => {
                occurrence["attestation"]["signatures"][0]["signature"] = json!("AAAA")
            }
            _ => {}
        }
        filed.insert(name, occurrence.clone());
        occurrence
    }
}
