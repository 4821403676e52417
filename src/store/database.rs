//! The database: SQLite in a file, or PostgreSQL. One dialect, one schema, one connection pool for both.
//!
//! Whatever changes something begins by counting up the number of changes, so changes are made one after the other and
//! their numbers are in the order in which they can be seen: whoever has read up to a number has missed nothing below it.

use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, SystemTime};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Row as _, SqlSafeStr as _};
use tokio::sync::{Mutex, MutexGuard};

use super::error::{ApiError, Code};

/// Connections at a time.
const CONNECTIONS: u32 = 16;
/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this long a start that failed is tried once more.
const AGAIN: Duration = Duration::from_secs(1);
/// What each connection is told. A server that hangs in the middle of a change holds up the others for seconds, not for ever.
const POSTGRES: &[&str] = &[
    "SET lock_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '15s'",
    "SET statement_timeout = '30s'",
];
/// And what, instead, the one on which the schema is brought up to date.
const UNLIMITED: &[&str] =
    &["SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0", "SET statement_timeout = 0"];
/// The same for a file.
const SQLITE: &[&str] =
    &["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA busy_timeout = 10000"];

/// Each is applied once, and never changed afterwards.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "notes, occurrences, documents, changes", include_str!("database/1.sql")),
    (2, "look-ups that are never guessed", include_str!("database/2.sql")),
];
/// Where PostgreSQL tells other servers of changes.
pub(super) const CHANNEL: &str = "binauth_store";
const NOTIFY: &str = "NOTIFY binauth_store";

/// Where everything is kept.
#[derive(Debug)]
pub struct Database {
    pool: AnyPool,
    is_postgres: bool,
    /// Whoever waits for its turn here holds no connection, and does not wait for a lock of the file.
    turn: Mutex<()>,
}

/// A change that is being made: all of it, or nothing.
///
/// Its transaction is begun and ended here and not by sqlx, which counts them: once a `COMMIT` fails that SQLite has taken back
/// by itself, the count is wrong, and later changes on that connection end inside of one that never ends. So a connection on
/// which a change was given up, or may have failed, is never used again; with it goes whatever it had begun.
pub struct Writing<'a> {
    connection: PoolConnection<Any>,
    is_made: bool,
    /// The number of the change.
    pub seq: i64,
    /// When it is made, RFC 3339.
    pub time: String,
    is_postgres: bool,
    _turn: MutexGuard<'a, ()>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Neither of the two.
    #[error("`{0}` names no database: it is sqlite:///PATH or postgres://USER@HOST/NAME")]
    Url(String),
    /// A file that is not there, where nothing is to be made.
    #[error(
        "there is no database `{0}`: name the one that the server has, by --database or BINAUTH_STORE_DATABASE, as its unit \
         finds it in /etc/default/binauth-store"
    )]
    Missing(String),
    /// It cannot be opened, or not be brought up to date.
    #[error("the database cannot be opened")]
    Open(#[from] sqlx::Error),
    /// A schema of a later version, or one that was changed.
    #[error("the database cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl Database {
    /// Opens the one that `url` names, and brings it up to date. Where there is no file it is made, if that `may_make` one.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub async fn open(url: &str, may_make: bool) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_postgres && !url.starts_with("sqlite:") {
            return Err(DatabaseError::Url(crate::text::shown(url, 200)));
        }
        let file = url.trim_start_matches("sqlite:").trim_start_matches("//");
        let is_new = !is_postgres && !Path::new(file).exists();
        if is_new && !may_make {
            return Err(DatabaseError::Missing(crate::text::shown(url, 200)));
        }
        let options = match (is_postgres, may_make) {
            (true, _) => url.to_owned(),
            (false, true) => format!("{url}?mode=rwc"),
            (false, false) => format!("{url}?mode=rw"),
        };
        let options = AnyConnectOptions::from_str(&options)?;
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = pool.after_connect(move |connection, _| {
            Box::pin(async move {
                let settings = if is_postgres { POSTGRES } else { SQLITE };
                for setting in settings {
                    sqlx::query(*setting).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
        let pool = pool.connect_with(options).await?;
        let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        let migrator = Migrator::with_migrations(migrations.collect());
        if let Err(error) = migrate(&migrator, &pool, is_postgres).await {
            // Another one that started with it was faster, perhaps: SQLite holds nobody off meanwhile.
            tracing::debug!("once more: {}", crate::chain(&error));
            tokio::time::sleep(AGAIN).await;
            migrate(&migrator, &pool, is_postgres).await?;
        }
        if is_new {
            tracing::warn!("made a new database, `{file}`");
        }
        Ok(Self { pool, is_postgres, turn: Mutex::new(()) })
    }

    /// Closes its connections, which lets SQLite put what its log holds into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether others write to it too.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.is_postgres
    }

    /// What is read is asked of these connections.
    #[must_use]
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a change. It is one of a row: others wait until it is made or given up.
    ///
    /// # Errors
    /// The database's.
    pub async fn write(&self) -> Result<Writing<'_>, sqlx::Error> {
        // One connection is what writers of one server take, be it that they wait for those of another.
        let turn = tokio::time::timeout(PATIENCE, self.turn.lock()).await;
        let turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let connection = self.pool.acquire().await?;
        let is_postgres = self.is_postgres;
        let mut writing =
            Writing { connection, is_made: false, seq: 0, time: String::new(), is_postgres, _turn: turn };
        let begin = if is_postgres { "BEGIN" } else { "BEGIN IMMEDIATE" };
        sqlx::query(begin).execute(writing.connection()).await?;
        writing.count_up().await?;
        writing.time = now();
        Ok(writing)
    }

    /// All of it as it is now, whatever is changed meanwhile.
    ///
    /// # Errors
    /// The database's.
    pub async fn snapshot(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, sqlx::Error> {
        let mut moment = self.pool.begin().await?;
        if self.is_postgres {
            for setting in [
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "SET LOCAL idle_in_transaction_session_timeout = 0",
            ] {
                sqlx::query(setting).execute(&mut *moment).await?;
            }
        }
        Ok(moment)
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// The database's.
    pub async fn last(&self) -> Result<i64, sqlx::Error> {
        let counter = sqlx::query("SELECT value FROM counters WHERE name = 'change'");
        counter.fetch_one(&self.pool).await?.try_get(0)
    }
}

impl Writing<'_> {
    /// What is written is asked of this connection.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }

    /// One more change of the same writing.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_up(&mut self) -> Result<(), sqlx::Error> {
        self.seq = counted_up(&mut self.connection, 1).await?;
        Ok(())
    }

    /// Numbers of so many more changes of the same writing; the first of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn numbers(&mut self, many: usize) -> Result<i64, sqlx::Error> {
        let many = i64::try_from(many).unwrap_or(i64::MAX);
        Ok(counted_up(&mut self.connection, many).await? - many + 1)
    }

    /// Makes it, and tells other servers of it: both or neither.
    ///
    /// # Errors
    /// The database's: then nothing was changed.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.is_postgres {
            sqlx::query(NOTIFY).execute(&mut *self.connection).await?;
        }
        sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        self.is_made = true;
        Ok(())
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_made {
            self.connection.close_on_drop();
        }
    }
}

/// Brings the database up to date, on a connection of its own that waits for other servers that do the same, and for a large table
/// to be gone through, as long as that takes.
async fn migrate(migrator: &Migrator, pool: &AnyPool, is_postgres: bool) -> Result<(), DatabaseError> {
    let mut connection = pool.acquire().await?;
    if is_postgres {
        for setting in UNLIMITED {
            sqlx::query(*setting).execute(&mut *connection).await?;
        }
    }
    let migrated = migrator.run(&mut *connection).await;
    // Nothing else is asked of a connection that waits for ever, or may hold the lock still.
    connection.close_on_drop();
    drop(connection);
    Ok(migrated?)
}

/// The number of the last change, after so many more.
async fn counted_up(connection: &mut AnyConnection, by: i64) -> Result<i64, sqlx::Error> {
    let counted = sqlx::query("UPDATE counters SET value = value + $1 WHERE name = 'change' RETURNING value");
    counted.bind(by).fetch_one(connection).await?.try_get(0)
}

/// Places of so many rows in a query: `($1, $2), ($3, $4)`.
#[must_use]
pub fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places = (1..=columns).map(|column| format!("${}", row * columns + column));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// What the database does, if that takes no longer: one that hangs, or is cut off, may never say so by itself.
pub(super) async fn within<T>(
    limit: Duration,
    done: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(limit, done).await.unwrap_or_else(|_| {
        tracing::error!("database: no answer within {} s", limit.as_secs());
        Err(Code::Unavailable.because(format!(
            "the database has not answered within {} s: what was to be changed may be changed, or not",
            limit.as_secs()
        )))
    })
}

/// RFC 3339, with microseconds.
#[must_use]
pub fn now() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}
