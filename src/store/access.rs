//! Who may do what: deny by default. A principal is known by the SHA-256 of its bearer token (RFC 6750), or by that of its client
//! certificate; neither is kept.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Row as _;
use tokio::sync::Semaphore;

use super::database::{Database, now, within};
use super::error::{ApiError, Code};
use crate::attestation::NoteName;
use crate::image::Digest;

/// How long somebody is taken for known, once looked up: whoever is removed is nobody after that.
const LATELY: Duration = Duration::from_secs(1);
/// Whoever was known once, before old ones are forgotten.
const MOST_LATELY: usize = 100_000;
/// Questions to the database of who somebody is, at once: of those who were known before, and of all others. Together they are
/// fewer than it has connections.
const ASKING: usize = 4;
/// How long such a question may wait, and how long the database may take to answer it.
const PATIENCE: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);
/// Names that the log of changes gives to others.
const RESERVED: &[&str] = &["anybody", "import", "operator"];
/// Bytes of a token.
const TOKEN: usize = 32;

/// What a principal may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Read all of it, and follow changes.
    Viewer,
    /// File attestations under a note, change them and take them away.
    Attacher(NoteName),
    /// Notes and attestors.
    AttestorAdmin,
    /// Policies, platform policies and policy bundles.
    PolicyAdmin,
}

/// What can be done, as far as roles tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Notes.
    Notes,
    /// Occurrences, and what becomes of them.
    Occurrences,
    /// Attestors.
    Attestors,
    /// Policies, platform policies and bundles.
    Policies,
}

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// As the log of changes has it.
    pub name: String,
    /// By what it is known; none where everybody may do everything.
    id: Option<String>,
    roles: Vec<Role>,
    is_anybody: bool,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Viewer => f.write_str("viewer"),
            Self::Attacher(note) => write!(f, "attacher={note}"),
            Self::AttestorAdmin => f.write_str("attestor-admin"),
            Self::PolicyAdmin => f.write_str("policy-admin"),
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "attestor-admin" => Ok(Self::AttestorAdmin),
            "policy-admin" => Ok(Self::PolicyAdmin),
            _ => match text.strip_prefix("attacher=").map(str::parse::<NoteName>) {
                Some(Ok(note)) => Ok(Self::Attacher(note)),
                Some(Err(error)) => Err(error.to_string()),
                None => Err(format!(
                    "`{}` is no role: viewer, attacher=projects/P/notes/N, attestor-admin and policy-admin are",
                    crate::text::shown(text, 60)
                )),
            },
        }
    }
}

impl Principal {
    /// Whoever asks where everybody may do everything.
    #[must_use]
    pub fn anybody() -> Self {
        Self { name: "anybody".to_owned(), id: None, roles: Vec::new(), is_anybody: true }
    }

    /// By what it is known; none where everybody may do everything.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether there is anything at all that it may change: what it sends is not even read otherwise.
    ///
    /// # Errors
    /// As [`may_see`](Self::may_see).
    pub fn may_change_something(&self) -> Result<(), ApiError> {
        let may = self.roles.iter().any(|role| *role != Role::Viewer);
        self.allowed(may, "attacher=NOTE, attestor-admin or policy-admin")
    }

    /// Whether it may read.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`]
    pub fn may_see(&self, area: Area) -> Result<(), ApiError> {
        let may = |role: &Role| match role {
            Role::Viewer => true,
            Role::Attacher(_) => matches!(area, Area::Notes | Area::Occurrences),
            Role::AttestorAdmin => matches!(area, Area::Notes | Area::Attestors),
            Role::PolicyAdmin => matches!(area, Area::Attestors | Area::Policies),
        };
        self.allowed(self.roles.iter().any(may), "viewer")
    }

    /// Whether it may change what is in an area; for occurrences see [`may_attach`](Self::may_attach).
    ///
    /// # Errors
    /// As [`may_see`](Self::may_see).
    pub fn may_change(&self, area: Area) -> Result<(), ApiError> {
        let wanted = match area {
            Area::Notes | Area::Attestors => Role::AttestorAdmin,
            Area::Policies => Role::PolicyAdmin,
            Area::Occurrences => return self.allowed(false, "attacher"),
        };
        self.allowed(self.roles.contains(&wanted), &wanted.to_string())
    }

    /// Whether it may file under a note.
    ///
    /// # Errors
    /// As [`may_see`](Self::may_see).
    pub fn may_attach(&self, note: &NoteName) -> Result<(), ApiError> {
        let may = |role: &Role| matches!(role, Role::Attacher(of) if of == note);
        self.allowed(self.roles.iter().any(may), &format!("attacher={note}"))
    }

    fn allowed(&self, may: bool, wanted: &str) -> Result<(), ApiError> {
        if may || self.is_anybody {
            return Ok(());
        }
        Err(Code::PermissionDenied.because(format!("`{}` may not: it takes the role {wanted}", self.name)))
    }
}

/// Who was known lately. Whoever is unknown is asked for every time, and few at once; whoever was known before does not wait for
/// them: strangers do not hold up the others.
#[derive(Debug)]
pub struct Acquaintances {
    lately: Mutex<HashMap<String, (Instant, Principal)>>,
    /// Questions of who may still be known.
    asking: Semaphore,
    /// Questions of who never was.
    strangers: Semaphore,
}

impl Default for Acquaintances {
    fn default() -> Self {
        Self { lately: Mutex::default(), asking: Semaphore::new(ASKING), strangers: Semaphore::new(ASKING) }
    }
}

impl Acquaintances {
    /// The one with this token or certificate, as the database had it a second ago at most. Where `is_crowded` it is not even
    /// asked about who never was known.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] where nobody is known by it, [`Code::Unavailable`] where too many ask who are not known, or the
    /// database does not answer; [`Code::ResourceExhausted`]
    pub async fn known(
        &self,
        database: &Database,
        id: &str,
        is_crowded: bool,
    ) -> Result<Principal, ApiError> {
        let asking = match self.lately(id) {
            Some((who, true)) => return Ok(who),
            Some((_, false)) => &self.asking,
            None if is_crowded => {
                return Err(Code::ResourceExhausted.because(
                    "too many calls at a time for a connection on which nobody known has asked yet",
                ));
            }
            None => &self.strangers,
        };
        let Ok(Ok(_asking)) = tokio::time::timeout(PATIENCE, asking.acquire()).await else {
            return Err(Code::Unavailable.because("too many ask whom nobody knows: try again"));
        };
        // Of many who asked the same one was first.
        if let Some((who, true)) = self.lately(id) {
            return Ok(who);
        }
        let found = within(ANSWER, known(database, id)).await;
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Ok(found) => {
                if lately.len() >= MOST_LATELY {
                    lately.retain(|_, (at, _)| at.elapsed() < LATELY);
                }
                lately.insert(id.to_owned(), (Instant::now(), found.clone()));
            }
            Err(error) if error.code == Code::Unauthenticated => drop(lately.remove(id)),
            Err(_) => {}
        }
        found
    }

    /// Who was known by this, and whether that is not too long ago to be true.
    fn lately(&self, id: &str) -> Option<(Principal, bool)> {
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.get(id).map(|(at, who)| (who.clone(), at.elapsed() < LATELY))
    }
}

/// The one with this token or certificate.
async fn known(database: &Database, id: &str) -> Result<Principal, ApiError> {
    let row = sqlx::query("SELECT name, roles FROM principals WHERE id = $1")
        .bind(id)
        .fetch_optional(database.pool());
    let Some(row) = row.await? else {
        return Err(Code::Unauthenticated
            .because("nobody is known by this token or certificate: `binauth-store access add` makes one"));
    };
    let (name, roles): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    // A role that this version does not know allows nothing.
    let roles = roles.split(',').filter_map(|role| role.parse().ok()).collect();
    Ok(Principal { name, id: Some(id.to_owned()), roles, is_anybody: false })
}

/// By what a token is known.
#[must_use]
pub fn of_token(token: &str) -> String {
    format!("token {}", Digest::of(token.as_bytes()))
}

/// By what a client certificate (DER) is known.
#[must_use]
pub fn of_certificate(certificate: &[u8]) -> String {
    format!("certificate {}", Digest::of(certificate))
}

/// A token that nobody has yet.
///
/// # Errors
/// The system's.
pub fn new_token() -> std::io::Result<String> {
    Ok(format!("bst_{}", random::<TOKEN>()?))
}

/// As many random bytes, in hexadecimal.
///
/// # Errors
/// The system's.
pub fn random<const N: usize>() -> std::io::Result<String> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a principal known.
///
/// # Errors
/// [`Code::AlreadyExists`] where the name is taken.
pub async fn add(database: &Database, id: &str, name: &str, roles: &[Role]) -> Result<(), ApiError> {
    if RESERVED.contains(&name) {
        return Err(Code::InvalidArgument.because(format!("the log of changes calls others `{name}`")));
    }
    let roles = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut writing = database.write().await?;
    let taken = sqlx::query("SELECT 1 FROM principals WHERE name = $1 OR id = $2").bind(name).bind(id);
    if taken.fetch_optional(writing.connection()).await?.is_some() {
        return Err(Code::AlreadyExists
            .because(format!("`{name}` is there already, or is known by the same certificate")));
    }
    sqlx::query("INSERT INTO principals (id, name, roles, created) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(name)
        .bind(&roles)
        .bind(now())
        .execute(writing.connection())
        .await?;
    super::changes::log(&mut writing, "operator", "access", name, None, Some(&roles)).await?;
    Ok(writing.commit().await?)
}

/// Lets nobody be known by this name any more.
///
/// # Errors
/// [`Code::NotFound`]
pub async fn remove(database: &Database, name: &str) -> Result<(), ApiError> {
    let mut writing = database.write().await?;
    let row = sqlx::query("DELETE FROM principals WHERE name = $1 RETURNING roles").bind(name);
    let Some(row) = row.fetch_optional(writing.connection()).await? else {
        return Err(Code::NotFound.because(format!("nobody is known as `{name}`")));
    };
    let roles: String = row.try_get(0)?;
    super::changes::log(&mut writing, "operator", "access", name, Some(&roles), None).await?;
    Ok(writing.commit().await?)
}

/// Everybody: name, roles, by what it is known, since when.
///
/// # Errors
/// The database's.
pub async fn all(database: &Database) -> Result<Vec<[String; 4]>, ApiError> {
    let rows = sqlx::query("SELECT name, roles, id, created FROM principals ORDER BY name")
        .fetch_all(database.pool());
    let rows = rows.await?;
    let row = |row: &sqlx::any::AnyRow| {
        let kind: String = row.try_get::<String, _>(2)?.split(' ').next().unwrap_or_default().to_owned();
        Ok([row.try_get(0)?, row.try_get(1)?, kind, row.try_get(3)?])
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn each_role_does_its_own() {
        let note: NoteName = "projects/p/notes/n".parse().unwrap();
        let other: NoteName = "projects/p/notes/m".parse().unwrap();
        let areas = [Area::Notes, Area::Occurrences, Area::Attestors, Area::Policies];
        let of = |role: &str| {
            let roles = if role.is_empty() { Vec::new() } else { vec![role.parse().unwrap()] };
            let who = Principal { name: "w".to_owned(), id: None, roles, is_anybody: false };
            let mut may: Vec<_> = areas.iter().map(|area| who.may_see(*area).is_ok()).collect();
            may.extend(areas.iter().map(|area| who.may_change(*area).is_ok()));
            may.extend([&note, &other].map(|note| who.may_attach(note).is_ok()));
            may.iter().map(|may| if *may { '+' } else { '-' }).collect::<String>()
        };
        // Seeing notes, occurrences, attestors, policies; changing them; filing under the note, under another.
        for (role, may) in [
            ("", "----------"),
            ("viewer", "++++------"),
            ("attacher=projects/p/notes/n", "++------+-"),
            ("attestor-admin", "+-+-+-+---"),
            ("policy-admin", "--++---+--"),
        ] {
            assert_eq!(of(role), may, "{role}");
        }
        for wrong in ["admin", "attacher", "attacher=", "attacher=projects/p", "viewer "] {
            assert!(wrong.parse::<Role>().is_err(), "{wrong}");
        }
        assert_eq!(new_token().unwrap().len(), 4 + 2 * TOKEN);
        assert_ne!(new_token().unwrap(), new_token().unwrap());
    }

    #[tokio::test]
    async fn who_was_known_does_not_wait_for_those_who_never_were() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/store.db", folder.path().display());
        let database = Database::open(&url, true).await.unwrap();
        let [node, other] = ["node", "other"].map(of_token);
        add(&database, &node, "node", &[Role::Viewer]).await.unwrap();
        let all = Acquaintances::default();
        let code = async |id: &str, is_crowded| {
            all.known(&database, id, is_crowded).await.err().map(|error| error.code)
        };
        assert_eq!(code(&node, false).await, None);
        let strangers = all.strangers.acquire_many(4).await.unwrap();
        tokio::time::sleep(LATELY).await;
        // Its time is over, so the database is asked.
        assert_eq!(code(&node, true).await, None);
        assert_eq!(code(&other, true).await, Some(Code::ResourceExhausted));
        assert_eq!(code(&other, false).await, Some(Code::Unavailable));
        drop(strangers);
        assert_eq!(code(&other, false).await, Some(Code::Unauthenticated));
        // Whoever was removed is a stranger from then on.
        remove(&database, "node").await.unwrap();
        tokio::time::sleep(LATELY).await;
        assert_eq!(code(&node, false).await, Some(Code::Unauthenticated));
        assert!(all.lately(&node).is_none());
    }
}
