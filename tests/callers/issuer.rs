//! An issuer of tokens: keys of each kind, tokens that say whatever a test wants, and a server that shows the keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The seconds since 1970, so many from now.
pub(crate) fn from_now(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

/// What signs tokens.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn rsa() -> Self {
        let pem = include_str!("rsa.pem").lines().skip_while(|line| !line.starts_with("-----")).collect::<Vec<_>>();
        let der = STANDARD.decode(pem[1..pem.len() - 1].concat()).unwrap();
        Self::Rsa(RsaKeyPair::from_pkcs8(&der).unwrap())
    }

    pub(crate) fn ecdsa() -> Self {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ecdsa(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The key as an issuer shows it.
    pub(crate) fn shown(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let ring::rsa::PublicKeyComponents { n, e }: ring::rsa::PublicKeyComponents<Vec<u8>> =
                    key.public().into();
                json!({"kty": "RSA", "use": "sig", "kid": id, "n": encoded(n), "e": encoded(e)})
            }
            Self::Ecdsa(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y})
            }
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "alg": "EdDSA", "x": encoded(key.public_key())})
            }
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(key) => key.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(text).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        format!("{text}.{}", encoded(self.sign(text.as_bytes())))
    }
}

/// A token that is signed with a secret.
pub(crate) fn with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{text}.{}", encoded(hmac::sign(&key, text.as_bytes())))
}

/// How an issuer answers who asks for its keys.
#[derive(Clone, Debug)]
pub(crate) enum Shows {
    /// With these.
    Keys(BTreeMap<String, Value>),
    /// With these bytes.
    Bytes(Vec<u8>),
    /// With this status.
    Status(&'static str),
    /// With nothing: it closes the connection.
    Nothing,
}

/// An issuer: its name in the tokens, its key, and the server that shows it.
pub(crate) struct Issuer {
    pub(crate) iss: String,
    pub(crate) address: SocketAddr,
    pub(crate) signer: Signer,
    shows: Arc<Mutex<Shows>>,
    asked: Arc<Mutex<Vec<Instant>>>,
    serving: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Issuer {
    pub(crate) async fn start(name: &str) -> Self {
        Self::with(name, Signer::ed25519()).await
    }

    /// It shows its key as `first`.
    pub(crate) async fn with(name: &str, signer: Signer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shows = Shows::Keys([("first".to_owned(), signer.shown("first"))].into());
        let (shows, asked) = (Arc::new(Mutex::new(shows)), Arc::new(Mutex::new(Vec::new())));
        let serving = tokio::spawn(serve(listener, Arc::clone(&shows), Arc::clone(&asked)));
        Self { iss: format!("https://{name}.example"), address, signer, shows, asked, serving }
    }

    pub(crate) fn show(&self, shows: Shows) {
        *self.shows.lock().unwrap() = shows;
    }

    /// Shows these keys, by their names.
    pub(crate) fn show_keys(&self, keys: &[(&str, &Signer)]) {
        self.show(Shows::Keys(keys.iter().map(|(id, key)| ((*id).to_owned(), key.shown(id))).collect()));
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The shortest time between two times that it was asked.
    pub(crate) fn shortest(&self) -> Duration {
        let asked = self.asked.lock().unwrap();
        asked.windows(2).map(|two| two[1] - two[0]).min().unwrap_or(Duration::MAX)
    }

    /// The entry of `issuers`, with more keys of its own.
    pub(crate) fn entry(&self, name: &str, more: &str) -> String {
        let Self { iss, address, .. } = self;
        format!(
            "  - {{ name: {name}, issuer: '{iss}', audiences: [completiond], jwks: 'http://{address}/keys?for=tests', \
             leeway: 0s{more} }}\n"
        )
    }

    /// The section with this issuer alone, whose callers may do all.
    pub(crate) fn section(&self) -> String {
        format!("issuers:\n{}", self.entry("corp", ", callers: [{}]"))
    }

    /// The claims of a good token for `sub`.
    pub(crate) fn claims(&self, sub: &str) -> Value {
        json!({"iss": self.iss, "sub": sub, "aud": "completiond", "iat": from_now(-5), "exp": from_now(600)})
    }

    /// The same with other claims over them; `null` takes one away.
    pub(crate) fn claims_with(&self, sub: &str, other: Value) -> Value {
        let mut claims = self.claims(sub);
        for (name, value) in other.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.signer.algorithm(), "typ": "JWT", "kid": "first"})
    }

    /// A good token for `sub`.
    pub(crate) fn token(&self, sub: &str) -> String {
        self.signer.token(&self.header(), &self.claims(sub))
    }

    /// The same with other claims.
    pub(crate) fn token_with(&self, sub: &str, other: Value) -> String {
        self.signer.token(&self.header(), &self.claims_with(sub, other))
    }
}

async fn serve(listener: TcpListener, shows: Arc<Mutex<Shows>>, asked: Arc<Mutex<Vec<Instant>>>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        asked.lock().unwrap().push(Instant::now());
        let shows = shows.lock().unwrap().clone();
        // That whoever asks goes away is no matter.
        tokio::spawn(async move { drop(answer(socket, shows).await) });
    }
}

async fn answer(mut socket: TcpStream, shows: Shows) -> std::io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        let count = socket.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&bytes[..count]);
    }
    let (status, body) = match shows {
        Shows::Keys(keys) => ("200 OK", json!({"keys": keys.values().collect::<Vec<_>>()}).to_string().into_bytes()),
        Shows::Bytes(bytes) => ("200 OK", bytes),
        Shows::Status(status) => (status, b"{}".to_vec()),
        Shows::Nothing => return Ok(()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body).await?;
    socket.shutdown().await
}
