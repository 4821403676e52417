//! The base runtime spec: the file a runtime handler of containerd names as `base_runtime_spec`, from which
//! CRI makes every container's `config.json`, and through which every container of the handler carries our
//! `createRuntime` hook (OCI runtime-spec, `config.md`, "POSIX-platform Hooks").
//!
//! Whatever is in a spec already stays, token by token and in its order: numbers are never read. Pure: the
//! bytes come from and go to the caller, who bounds them.
//!
//! What it will not do: guess containerd's own defaults. They differ between versions, and between builds of
//! one version, so they are taken from the `ctr oci spec` of the very containerd ([`defaults`]).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::create_hook::CreateHook;

/// The largest base runtime spec that is read, in bytes. containerd's own has under 5,000.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Why a base runtime spec is refused.
#[derive(Debug, thiserror::Error)]
pub enum BaseSpecError {
    /// Not a JSON document, or not one of a runtime spec.
    #[error("it is not the JSON of an OCI runtime spec")]
    Json(#[from] serde_json::Error),
    /// Something of another type than the runtime specification says.
    #[error("`{0}` is not {1}")]
    Type(String, &'static str),
    /// Some other JSON document.
    #[error("it has no `ociVersion`: an OCI runtime spec begins with one, see `ctr oci spec`")]
    NotASpec,
    /// Two values for one name.
    #[error("`{0}` is there twice: leave one of them")]
    Twice(String),
    /// A name that containerd, which does not look at case, takes for another.
    #[error("`{0}` is what containerd takes for `{1}`: write it so, or remove it")]
    Lookalike(String, &'static str),
    /// A hook of our name that cannot be understood.
    #[error(
        "the hook `{path}` has {what}: remove it, or write it anew with `binauthctl containerd base-spec`"
    )]
    Hook {
        /// What it runs.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// `spec` with `hook` in it, once. One of ours that is there is replaced in its place, others of ours go;
/// everything else stays as it is. Giving the answer again, with the same hook, gives the same answer.
///
/// # Errors
/// [`BaseSpecError`] where `spec` is no runtime spec, or is one that containerd may read in another way than
/// this does.
pub fn merge(spec: &str, hook: &CreateHook) -> Result<String, BaseSpecError> {
    let mut top = spec_of(spec)?;
    let entry = raw(&Entry::of(hook))?;
    let mut hooks = top.take_fields("hooks", HOOK_LISTS)?;
    let list = hooks.list(LIST)?;
    let ours = list.iter().map(|entry| is_ours(entry)).collect::<Result<Vec<_>, _>>()?;
    let place = ours.iter().position(|ours| *ours).unwrap_or(list.len());
    let mut merged: Vec<&RawValue> =
        list.into_iter().zip(&ours).filter(|(_, ours)| !**ours).map(|(entry, _)| entry).collect();
    // Those before the first of ours are all others', so its place is the same without ours.
    merged.insert(place, &entry);
    let merged = raw(&merged)?;
    hooks.set(LIST, &merged);
    let hooks = raw(&hooks)?;
    top.set("hooks", &hooks);
    Ok(pretty(raw(&top)?.get()))
}

/// The `createRuntime` hooks of ours that are in `spec`, in their order.
///
/// # Errors
/// As [`merge`]; a hook of our name whose arguments cannot be understood is one too.
pub fn hooks(spec: &str) -> Result<Vec<CreateHook>, BaseSpecError> {
    let mut top = spec_of(spec)?;
    let list = top.take_fields("hooks", HOOK_LISTS)?.list(LIST)?;
    let entries = list.into_iter().filter_map(|entry| match is_ours(entry) {
        Ok(true) => Some(parse(entry)),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    });
    entries.collect()
}

/// What CRI starts from where a handler names no base runtime spec, from what `ctr oci spec` prints.
///
/// CRI takes the limits, the seccomp and the AppArmor profile out of containerd's default, and does so only
/// where there is no base runtime spec (`WithoutDefaultSecuritySettings`): left in, `RLIMIT_NOFILE` of 1024
/// would come to bind every container.
///
/// # Errors
/// [`BaseSpecError`] where the text is no runtime spec.
pub fn defaults(ctr_oci_spec: &str) -> Result<String, BaseSpecError> {
    let mut top = spec_of(ctr_oci_spec)?;
    let mut process = top.take_fields("process", &["rlimits", "apparmorProfile"])?;
    let mut linux = top.take_fields("linux", &["seccomp"])?;
    process.remove("rlimits");
    process.remove("apparmorProfile");
    linux.remove("seccomp");
    let (process, linux) = (raw(&process)?, raw(&linux)?);
    top.set("process", &process);
    top.set("linux", &linux);
    Ok(pretty(raw(&top)?.get()))
}

const LIST: &str = "createRuntime";
const HOOK_LISTS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const TOP: &[&str] = &["ociVersion", "process", "linux", "hooks"];
const ENTRY: &[&str] = &["path", "args", "env", "timeout"];

fn spec_of(text: &str) -> Result<Fields<'_>, BaseSpecError> {
    let top = Fields::of(serde_json::from_str(text)?, "the spec", TOP)?;
    match top.value("ociVersion") {
        Some(version) if version.get().starts_with('"') => Ok(top),
        _ => Err(BaseSpecError::NotASpec),
    }
}

fn is_ours(entry: &RawValue) -> Result<bool, BaseSpecError> {
    let fields = Fields::of(entry, LIST, ENTRY)?;
    let path = fields.value("path").and_then(|path| serde_json::from_str::<String>(path.get()).ok());
    let path = path.ok_or_else(|| BaseSpecError::Type("path".into(), "a string"))?;
    Ok(CreateHook::is_run_by(&path))
}

fn parse(entry: &RawValue) -> Result<CreateHook, BaseSpecError> {
    let entry: Entry = serde_json::from_str(entry.get())?;
    CreateHook::from_args(&entry.path, &entry.args, entry.timeout)
        .map_err(|what| BaseSpecError::Hook { path: entry.path, what })
}

/// A hook as the runtime specification has it. `env` is left out: the hook has the runtime's.
#[derive(Serialize, serde::Deserialize)]
struct Entry {
    path: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    timeout: Option<i64>,
}

impl Entry {
    fn of(hook: &CreateHook) -> Self {
        Self { path: hook.path.clone(), args: hook.args(), timeout: Some(hook.timeout().into()) }
    }
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, BaseSpecError> {
    Ok(serde_json::value::to_raw_value(value)?)
}

/// A JSON object whose values are not looked at, in its order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// `known` are the names that something here depends on: each is there once, and nothing that containerd
    /// would read for it.
    fn of(value: &'a RawValue, what: &str, known: &[&'static str]) -> Result<Self, BaseSpecError> {
        if !value.get().starts_with('{') {
            return Err(BaseSpecError::Type(what.to_owned(), "an object"));
        }
        let fields: Self = serde_json::from_str(value.get())?;
        for (at, (name, _)) in fields.0.iter().enumerate() {
            let meant = known.iter().find(|known| folded(known) == folded(name));
            if let Some(meant) = meant.filter(|meant| *meant != name) {
                return Err(BaseSpecError::Lookalike(name.to_string(), meant));
            }
            if meant.is_some() && fields.0.iter().skip(at + 1).any(|(other, _)| other == name) {
                return Err(BaseSpecError::Twice(name.to_string()));
            }
        }
        Ok(fields)
    }

    fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| *value)
            .filter(|value| !is_null(value))
    }

    /// The object under `name`; one with nothing in it where there is none.
    fn take_fields(&mut self, name: &str, known: &[&'static str]) -> Result<Fields<'a>, BaseSpecError> {
        self.value(name).map_or(Ok(Fields(Vec::new())), |value| Fields::of(value, name, known))
    }

    fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, BaseSpecError> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        serde_json::from_str(value.get()).map_err(|_| BaseSpecError::Type(name.to_owned(), "a list"))
    }

    /// In its place, or last.
    fn set(&mut self, name: &'static str, value: &'a RawValue) {
        match self.0.iter_mut().find(|(field, _)| field == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((Cow::Borrowed(name), value)),
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| field != name);
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.push((Cow::Owned(name), value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object).map(Self)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Two names are one to Go's `encoding/json`, which containerd reads with, when this is the same: beside
/// ASCII case, there are two letters that fold to ASCII ones.
fn folded(name: &str) -> String {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// The same tokens, laid out as `ctr oci spec` does. Takes JSON that was parsed before.
fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut tokens = json.chars().peekable();
    // Deeper than this, layout costs more than it shows.
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth.min(8)));
    };
    while let Some(token) = tokens.next() {
        if in_string {
            out.push(token);
            in_string = escaped || token != '"';
            escaped = !escaped && token == '\\';
            continue;
        }
        match token {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                out.push(token);
                while tokens.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = tokens.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                    continue;
                }
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(token);
            }
            ',' => {
                out.push(token);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests;
