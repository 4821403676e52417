//! One listing of one scope: page by page into the ledger.

use std::collections::HashSet;
use std::sync::Arc;

use crate::evidence::ledger::Ledger;
use crate::evidence::source::{Page, Pages, Work};
use crate::evidence::store::{RowId, ScopeId};

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
}

impl Listing {
    pub(super) fn new(ledger: Arc<Ledger>, scope: ScopeId, limit: u64) -> Self {
        Self { ledger, scope, limit, present: HashSet::new(), left_out: 0, news: false, is_too_long: false }
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
            let (ledger, scope) = (Arc::clone(&self.ledger), self.scope);
            let filed = tokio::task::spawn_blocking(move || ledger.file(scope, &page.documents)).await;
            match filed {
                Ok(Ok(news)) => self.news |= news,
                Ok(Err(error)) => return Err(crate::chain(&error)),
                Err(_) => return Err("it was given up".to_owned()),
            }
            Ok(())
        })
    }
}
