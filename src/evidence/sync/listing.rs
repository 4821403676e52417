//! One listing of one scope: page by page into the ledger.
//!
//! A page is filed while the next is being asked for. Pages that come before that is done are filed together:
//! where disk and processor are the slower ones, each write is larger and there are fewer.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::evidence::ledger::Ledger;
use crate::evidence::source::{Page, Pages, Work};
use crate::evidence::store::{RowId, ScopeId, StoreError};
use crate::image::Digest;

/// No further page is asked for while more documents than this wait to be filed, or more bytes.
const WAITING: usize = 4_000;
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// What a listing has given so far.
pub(super) struct Listing {
    ledger: Arc<Ledger>,
    scope: ScopeId,
    limit: u64,
    /// Sixteen bytes a document: of a million, 16 to 32 MiB until the listing ends.
    pub(super) present: HashSet<RowId>,
    pub(super) left_out: usize,
    pub(super) news: bool,
    /// There are more documents than are listed.
    pub(super) is_too_long: bool,
    /// What is being filed.
    filing: Option<JoinHandle<Result<bool, StoreError>>>,
    waiting: Vec<(Digest, Box<[u8]>)>,
    waiting_bytes: usize,
}

impl Listing {
    pub(super) fn new(ledger: Arc<Ledger>, scope: ScopeId, limit: u64) -> Self {
        Self {
            ledger,
            scope,
            limit,
            present: HashSet::new(),
            left_out: 0,
            news: false,
            is_too_long: false,
            filing: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Files what waits. To be called however the listing ends: all that it gave counts.
    ///
    /// # Errors
    /// Says why it cannot be filed.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        self.filed().await?;
        self.file();
        self.filed().await
    }

    /// Waits for what is being filed.
    async fn filed(&mut self) -> Result<(), String> {
        let Some(filing) = self.filing.take() else { return Ok(()) };
        match filing.await {
            Ok(Ok(news)) => self.news |= news,
            Ok(Err(error)) => return Err(crate::chain(&error)),
            Err(_) => return Err("it was given up".to_owned()),
        }
        Ok(())
    }

    fn file(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (ledger, scope, documents) =
            (Arc::clone(&self.ledger), self.scope, std::mem::take(&mut self.waiting));
        self.waiting_bytes = 0;
        self.filing = Some(tokio::task::spawn_blocking(move || {
            ledger.file_texts(scope, documents.iter().map(|(digest, text)| (*digest, &**text)))
        }));
    }

    fn is_full(&self) -> bool {
        self.waiting.len() > WAITING || self.waiting_bytes > WAITING_BYTES
    }
}

impl Pages for Listing {
    fn take<'a>(&'a mut self, page: Page) -> Work<'a, Result<(), String>> {
        Box::pin(async move {
            self.left_out += page.left_out;
            self.present.extend(page.kept);
            self.present.extend(page.documents.iter().map(|document| RowId::of(&document.text)));
            if self.present.len() as u64 > self.limit {
                self.is_too_long = true;
                return Err(format!("there are more than {} documents", self.limit));
            }
            self.waiting_bytes += page.documents.iter().map(|document| document.text.len()).sum::<usize>();
            let texts =
                page.documents.into_iter().map(|document| (document.occurrence.digest, document.text));
            self.waiting.extend(texts);
            if self.is_full() || self.filing.as_ref().is_none_or(JoinHandle::is_finished) {
                self.filed().await?;
                self.file();
            }
            Ok(())
        })
    }
}
