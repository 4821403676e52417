//! The log of changes: who changed what, for auditors; and what happened to occurrences and bundles, for nodes that follow.
//!
//! A follower is given lines of JSON, each with the token behind it. It says from which token on it wants them, and gets each
//! change once and in order; where its token is of another database, or too far behind, it is told to list again and goes on
//! from now. A line says what is to be looked at, and holds none of it: it is short, whatever was filed. The last changes are held in memory, so that a thousand followers ask the database once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use tokio::sync::watch;

use super::database::{CHANNEL, Database, Writing, places, within};
use super::error::ApiError;

/// Changes that are held in memory.
const HELD: usize = 4_096;
/// Changes that are read at a time.
const BATCH: i64 = 500;
/// A follower further behind lists again.
pub const FURTHEST: i64 = 100_000;
/// How often the database is asked where nobody tells of changes.
const LOOK: Duration = Duration::from_millis(500);
/// How long the database may take to say what is new.
const ANSWER: Duration = Duration::from_secs(10);

/// One change, as it is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its number.
    pub seq: i64,
    /// The project and note that it is about; of a bundle its project alone.
    about: (String, String),
    /// A line of JSON.
    pub line: Bytes,
}

/// What followers are told from.
#[derive(Debug)]
pub struct Hub {
    database: Arc<Database>,
    /// Of this database, so that a token of another one is told apart.
    id: String,
    held: Mutex<VecDeque<Told>>,
    last: watch::Sender<i64>,
    /// How often the database has lost changes that were told.
    losses: AtomicU64,
}

/// Whom a follower wants to hear of.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Full names of notes; none for all.
    pub notes: Vec<String>,
    /// Whether it hears of bundles.
    pub bundles: bool,
}

/// What a follower is given next.
#[derive(Debug)]
pub enum Next {
    /// Changes, and the number up to which it has all of them.
    Changes(Vec<Bytes>, i64),
    /// It has missed some: it lists again, and goes on from this number.
    Relist(i64),
}

/// Logs a change of something that there is one document of.
pub(super) async fn log(
    writing: &mut Writing<'_>,
    who: &str,
    what: &str,
    name: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<(), sqlx::Error> {
    Change { who, what, name, before, after, ..Change::default() }.log(writing).await
}

/// A change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change<'a> {
    pub(super) who: &'a str,
    pub(super) what: &'a str,
    pub(super) name: &'a str,
    /// Of an occurrence: project and id, note, resource.
    pub(super) place: (&'a str, &'a str),
    pub(super) note: &'a str,
    pub(super) resource: &'a str,
    pub(super) before: Option<&'a str>,
    pub(super) after: Option<&'a str>,
}

impl Change<'_> {
    pub(super) async fn log(self, writing: &mut Writing<'_>) -> Result<(), sqlx::Error> {
        let seq = writing.seq;
        log_all(writing, &[(seq, self)]).await
    }
}

/// Logs changes, each with its number.
pub(super) async fn log_all(
    writing: &mut Writing<'_>,
    changes: &[(i64, Change<'_>)],
) -> Result<(), sqlx::Error> {
    let query = format!(
        "INSERT INTO changes (seq, time, who, what, name, project, id, note, resource, before, after) VALUES {}",
        places(changes.len(), 11)
    );
    let time = writing.time.clone();
    let mut query = sqlx::query(sqlx::AssertSqlSafe(query));
    for (seq, change) in changes {
        let ((project, id), Change { who, what, name, note, resource, before, after, .. }) =
            (change.place, *change);
        query = query.bind(*seq).bind(&time).bind(who).bind(what).bind(name).bind(project).bind(id);
        query = query.bind(note).bind(resource).bind(before).bind(after);
    }
    query.execute(writing.connection()).await?;
    Ok(())
}

impl Hub {
    /// Begins at the end of the log.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(database: Arc<Database>) -> Result<Self, sqlx::Error> {
        let id = sqlx::query("SELECT value FROM counters WHERE name = 'id'")
            .fetch_optional(database.pool())
            .await?;
        let id = match id {
            Some(row) => row.try_get::<i64, _>(0)?,
            None => Self::name(&database).await?,
        };
        let last = database.last().await?;
        let (id, last) = (format!("{id:x}"), watch::Sender::new(last));
        Ok(Self { database, id, held: Mutex::default(), last, losses: AtomicU64::new(0) })
    }

    /// Gives the database a number of its own, unless another server was faster.
    async fn name(database: &Database) -> Result<i64, sqlx::Error> {
        let random = super::access::random::<7>().map_err(sqlx::Error::Io)?;
        let random = i64::from_str_radix(&random, 16).unwrap_or_default();
        sqlx::query("INSERT INTO counters (name, value) VALUES ('id', $1) ON CONFLICT (name) DO NOTHING")
            .bind(random)
            .execute(database.pool())
            .await?;
        let row =
            sqlx::query("SELECT value FROM counters WHERE name = 'id'").fetch_one(database.pool()).await?;
        row.try_get(0)
    }

    /// The token behind change `seq`.
    #[must_use]
    pub fn token(&self, seq: i64) -> String {
        format!("{}.{seq}", self.id)
    }

    /// The number that a token is behind; none where it is of no change here.
    #[must_use]
    pub fn seq(&self, token: &str) -> Option<i64> {
        let (id, seq) = token.split_once('.')?;
        let seq = seq.parse().ok().filter(|seq| *seq >= 0)?;
        (id == self.id && seq <= *self.last.borrow()).then_some(seq)
    }

    /// The number of the last change that is known here.
    #[must_use]
    pub fn last(&self) -> i64 {
        *self.last.borrow()
    }

    /// How often the database has lost changes that were told: whoever followed before lists again.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    /// Hears of changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.last.subscribe()
    }

    /// Told by whoever has made a change here.
    pub async fn changed(&self) {
        let _ = tokio::time::timeout(ANSWER, self.look()).await;
    }

    /// Follows changes that others make, for ever: by what PostgreSQL tells, and by looking.
    pub async fn follow(self: Arc<Self>, url: String) {
        let mut listener = None;
        loop {
            if self.database.is_shared() && listener.is_none() {
                listener = tokio::time::timeout(ANSWER, listen(&url)).await.ok().flatten();
            }
            match &mut listener {
                Some(told) => {
                    // What is told while the connection is lost is seen by looking.
                    if let Ok(Err(_)) = tokio::time::timeout(LOOK * 10, told.recv()).await {
                        listener = None;
                        tokio::time::sleep(LOOK).await;
                    }
                }
                None => tokio::time::sleep(LOOK).await,
            }
            // One look that never ends would be the last one.
            if tokio::time::timeout(ANSWER, self.look()).await.is_err() {
                tracing::error!("database: no answer within {} s", ANSWER.as_secs());
                listener = None;
            }
        }
    }

    /// Goes back to where the database is: one that took over without the last changes of the one before, or that was restored.
    fn go_back(&self, last: i64) {
        tracing::error!("the database has lost changes behind {last}: who follows lists again");
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.losses.fetch_add(1, Ordering::SeqCst);
        self.last.send_replace(last);
    }

    /// Reads what is new, and tells everybody.
    async fn look(&self) {
        loop {
            let known = self.last();
            let Ok(last) = self.database.last().await else { return };
            if last < known {
                self.go_back(last);
            }
            if last <= known {
                return;
            }
            let Ok(told) = self.read(known, last).await else { return };
            let upto = told.1;
            {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                let newest = held.back().map_or(0, |told| told.seq).max(known.min(upto));
                held.extend(told.0.into_iter().filter(|told| told.seq > newest));
                while held.len() > HELD {
                    held.pop_front();
                }
            }
            self.last.send_if_modified(|last| {
                let is_new = *last < upto;
                *last = upto.max(*last);
                is_new
            });
        }
    }

    /// What a follower that has everything up to `after` is given.
    ///
    /// # Errors
    /// The database's.
    pub async fn next(&self, after: i64, wanted: &Wanted) -> Result<Next, ApiError> {
        let last = self.last();
        if last < after || last - after > FURTHEST {
            return Ok(Next::Relist(last));
        }
        if let Some(lines) = self.held_between(after, last, wanted) {
            return Ok(Next::Changes(lines, last));
        }
        let (told, upto) = within(ANSWER, async { Ok(self.read(after, last).await?) }).await?;
        Ok(Next::Changes(wanted.lines(&told), upto))
    }

    /// From memory, where all of it is there. What is held beyond `last` is told when everybody knows of it: in the next turn.
    fn held_between(&self, after: i64, last: i64, wanted: &Wanted) -> Option<Vec<Bytes>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Numbers without a line are of changes that nobody follows; what is held has none missing behind its first.
        let first = held.front()?.seq;
        let upto = |seq: i64| held.partition_point(|told| told.seq <= seq);
        (after + 1 >= first).then(|| wanted.lines(held.range(upto(after)..upto(last))))
    }

    /// From the database: those behind `after`, up to `last`; and up to where they reach.
    async fn read(&self, after: i64, last: i64) -> Result<(Vec<Told>, i64), sqlx::Error> {
        let rows = sqlx::query(
            "SELECT c.seq, c.what, c.name, c.note, c.resource, c.after, o.kind, c.time FROM changes c \
             LEFT JOIN occurrences o ON c.what = 'occurrence' AND o.project = c.project AND o.id = c.id \
             WHERE c.seq > $1 AND c.seq <= $2 AND c.what IN ('occurrence', 'bundle') ORDER BY c.seq LIMIT $3",
        )
        .bind(after)
        .bind(last)
        .bind(BATCH)
        .fetch_all(self.database.pool())
        .await?;
        let told = rows.iter().map(|row| self.told(row)).collect::<Result<Vec<_>, _>>()?;
        let is_all = i64::try_from(rows.len()).is_ok_and(|read| read < BATCH);
        let upto = if is_all { last } else { told.last().map_or(last, |told| told.seq) };
        Ok((told, upto))
    }

    fn told(&self, row: &AnyRow) -> Result<Told, sqlx::Error> {
        let text = |at: usize| row.try_get::<Option<String>, _>(at).map(Option::unwrap_or_default);
        let (seq, what, name): (i64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (note, resource, kind, time) = (text(3)?, text(4)?, text(6)?, text(7)?);
        let is_filed = row.try_get::<Option<String>, _>(5)?.is_some();
        let token = self.token(seq);
        let line = if what == "bundle" {
            json!({"token": token, "time": time, "bundle": name})
        } else if is_filed && !kind.is_empty() {
            let filed = json!({"name": name, "kind": kind, "noteName": note, "resourceUri": resource});
            json!({"token": token, "time": time, "filed": filed})
        } else {
            // Also what was filed and is gone again.
            json!({"token": token, "time": time, "gone": {"name": name, "noteName": note, "resourceUri": resource}})
        };
        let project = name.split('/').nth(1).unwrap_or_default().to_owned();
        Ok(Told { seq, about: (project, note), line: Bytes::from(format!("{line}\n")) })
    }
}

impl Wanted {
    fn lines<'a>(&self, told: impl IntoIterator<Item = &'a Told>) -> Vec<Bytes> {
        told.into_iter().filter(|told| self.wants(told)).map(|told| told.line.clone()).collect()
    }

    fn wants(&self, told: &Told) -> bool {
        match told.about.1.as_str() {
            "" => self.bundles,
            note => self.notes.is_empty() || self.notes.iter().any(|wanted| wanted == note),
        }
    }
}

async fn listen(url: &str) -> Option<sqlx::postgres::PgListener> {
    let mut listener = sqlx::postgres::PgListener::connect(url).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_told_once_up_to_where_everybody_knows_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/store.db", folder.path().display());
        let hub = Hub::open(Arc::new(Database::open(&url, true).await.unwrap())).await.unwrap();
        let told = |seq: i64, note: &str| Told {
            seq,
            about: ("p".to_owned(), note.to_owned()),
            line: Bytes::from(seq.to_string()),
        };
        hub.held.lock().unwrap().extend([told(3, "a"), told(5, "b"), told(9, "a")]);
        let lines = |after, last, notes: &[&str]| {
            let notes = notes.iter().map(ToString::to_string).collect();
            let wanted = Wanted { notes, bundles: true };
            let lines = hub.held_between(after, last, &wanted)?;
            Some(
                lines
                    .iter()
                    .map(|line| String::from_utf8_lossy(line).into_owned())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        for (after, last, notes, given) in [
            (1, 9, &[] as &[&str], None),
            (2, 9, &[], Some("3 5 9")),
            (3, 9, &[], Some("5 9")),
            (4, 8, &[], Some("5")),
            (9, 9, &[], Some("")),
            (2, 9, &["a"], Some("3 9")),
        ] {
            assert_eq!(lines(after, last, notes).as_deref(), given, "{after} to {last} of {notes:?}");
        }
    }

    #[tokio::test]
    async fn a_database_that_has_lost_changes_is_gone_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/store.db", folder.path().display());
        let database = Arc::new(Database::open(&url, true).await.unwrap());
        let hub = Hub::open(Arc::clone(&database)).await.unwrap();
        let mut hears = hub.subscribe();
        for _ in 0..2 {
            let mut writing = database.write().await.unwrap();
            log(&mut writing, "w", "bundle", "projects/p/bundle", None, Some("{}")).await.unwrap();
            writing.commit().await.unwrap();
        }
        hub.look().await;
        let told = hub.last();
        assert_eq!((hub.held.lock().unwrap().len(), hub.losses()), (2, 0));
        let back = "UPDATE counters SET value = value - 1 WHERE name = 'change'";
        sqlx::query(back).execute(database.pool()).await.unwrap();
        hears.mark_unchanged();
        hub.look().await;
        assert_eq!((hub.last(), hub.losses()), (told - 1, 1));
        assert!(hub.held.lock().unwrap().is_empty() && hears.has_changed().unwrap());
        assert_eq!(hub.seq(&hub.token(told)), None);
        assert!(matches!(hub.next(told, &Wanted::default()).await, Ok(Next::Relist(seq)) if seq == told - 1));
    }
}
