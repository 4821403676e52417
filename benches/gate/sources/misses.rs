//! Questions about images that are attested at the store and not known on the node yet.

use std::time::Duration;

use binauthd::image::Digest;

use super::super::samples::Samples;
use super::super::table::Table;
use super::site::Site;
use super::stock::Stock;
use super::store::Store;

const ROUNDS: usize = 200;
const WARM_UP: usize = 5;
/// How much slower than it can the store is to answer.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(50)];

/// Images that no listing gave.
pub(super) struct Misses(Vec<(Digest, String)>);

impl Misses {
    pub(super) fn of(stock: &Stock) -> Self {
        Self((0..DELAYS.len() * (ROUNDS + WARM_UP)).map(|n| stock.unlisted(n)).collect())
    }

    /// Prints what such a question takes.
    pub(super) fn measure(self, site: &Site, store: &Store, table: &mut Table) {
        let (mut whole, mut own) = (DELAYS.map(|_| Samples::default()), DELAYS.map(|_| Samples::default()));
        let mut again = Samples::default();
        for (n, (digest, attestation)) in self.0.into_iter().enumerate() {
            let (round, side) = (n / DELAYS.len(), n % DELAYS.len());
            store.delay(DELAYS[side]);
            store.file(digest, attestation);
            let took = site.allows(digest);
            let over = took.saturating_sub(store.answered());
            let known = site.allows(digest);
            if round >= WARM_UP {
                whole[side].push(took);
                own[side].push(over);
                again.push(known);
            }
        }
        table.section(
            "A pull of an image that is attested at the store and not known on the node",
            &[
                "The question over the gate socket, with the look-up at the store; own: without the store's time from",
                "the end of its question to the end of its answer.",
            ],
        );
        table.columns("ms", None);
        for (side, delay) in DELAYS.iter().enumerate() {
            let delay = delay.as_millis();
            table.row(&format!("store takes {delay} ms more"), &whole[side], None);
            table.row(&format!("store takes {delay} ms more, own"), &own[side], None);
        }
        table.row("asked again", &again, None);
        let median = own.iter().map(Samples::median).fold(0.0, f64::max);
        let measured = format!("{median:.1} ms");
        table.goal("a miss, more than the store's own time", "< 20 ms", measured, median < 20.0);
    }
}
