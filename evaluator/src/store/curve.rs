//! Tables `curve` and `curve_point`: the distortion of one block against its kept tokens.
//!
//! A curve is measured once and replayed for every threshold and strategy. In a video a block is seen behind the blocks
//! before it, as they were kept: a curve therefore belongs to a *history*, the kept counts of the earlier blocks.

use sqlx::types::Json;

use super::error::{At, finite};
use super::{ContentHash, CurveId, DatasetId, ProtocolId, Reader, Result, SampleId, SourceId, Store, Stored};

/// A curve to store.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NewCurve {
    /// The weights it was measured with.
    pub weights: ContentHash,
    /// The sample.
    pub sample: SampleId,
    /// The block, from 0.
    pub block: u32,
    /// Kept tokens of the earlier blocks, oldest first; as many as `block` says.
    pub history: Vec<u32>,
    /// How it was measured.
    pub protocol: ProtocolId,
    /// Seconds spent measuring all its points.
    pub seconds: f64,
    /// Its points.
    pub points: Vec<CurvePoint>,
}

/// One count on a curve.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurvePoint {
    /// Tokens kept.
    pub kept_tokens: u32,
    /// Mean squared error in [-1, 1] after clipping: what a threshold is compared to.
    pub distortion: f64,
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Structural similarity.
    pub ssim: f64,
}

/// A stored curve.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveRow {
    /// Its id.
    pub id: CurveId,
    /// The sample.
    pub sample_id: SampleId,
    /// The sample's source: what intervals are clustered by.
    pub source_id: SourceId,
    /// The block, from 0.
    pub block: u32,
    /// Kept tokens of the earlier blocks.
    pub history: Vec<u32>,
    /// How it was measured.
    pub protocol_id: ProtocolId,
    /// Seconds spent measuring all its points.
    pub seconds: f64,
    /// Its points by kept tokens.
    pub points: Vec<CurvePoint>,
}

/// Which curves of some weights are wanted; `None` does not restrict.
#[derive(Debug, Clone, Default)]
pub struct CurveFilter {
    /// Only of this protocol.
    pub protocol: Option<ProtocolId>,
    /// Only of samples of this dataset.
    pub dataset: Option<DatasetId>,
    /// Only of this sample.
    pub sample: Option<SampleId>,
    /// Only of this block.
    pub block: Option<u32>,
    /// Only behind this history.
    pub history: Option<Vec<u32>>,
}

impl Store {
    /// The curve with these weights, sample, block, history and protocol, stored now if it is new. A stored curve gets
    /// the points that it lacks; those it has keep their values.
    ///
    /// # Errors
    /// [`NotFinite`](super::StoreError::NotFinite).
    ///
    /// # Panics
    /// If the history does not have one count per earlier block.
    pub async fn put_curve(&self, new: &NewCurve) -> Result<Stored<CurveId>> {
        assert_eq!(new.history.len(), new.block as usize, "a curve's history has one count per earlier block");
        new.check()?;
        let mut transaction = self.begin().await?;
        let inserted: Option<CurveId> = sqlx::query_scalar(
            "insert into curve (weights_hash, sample_id, block, history, protocol_id, seconds)
             values (?, ?, ?, ?, ?, ?)
             on conflict (weights_hash, sample_id, block, history, protocol_id) do nothing returning id",
        )
        .bind(new.weights)
        .bind(new.sample)
        .bind(new.block)
        .bind(Json(&new.history))
        .bind(new.protocol)
        .bind(new.seconds)
        .fetch_optional(&mut *transaction)
        .await
        .at(self)?;
        let id = match inserted {
            Some(id) => id,
            None => sqlx::query_scalar(
                "select id from curve
                 where weights_hash = ? and sample_id = ? and block = ? and history = ? and protocol_id = ?",
            )
            .bind(new.weights)
            .bind(new.sample)
            .bind(new.block)
            .bind(Json(&new.history))
            .bind(new.protocol)
            .fetch_one(&mut *transaction)
            .await
            .at(self)?,
        };
        let mut added = 0;
        for point in &new.points {
            added += sqlx::query(
                "insert into curve_point (curve_id, kept_tokens, distortion, psnr, ssim) values (?, ?, ?, ?, ?)
                 on conflict (curve_id, kept_tokens) do nothing",
            )
            .bind(id)
            .bind(point.kept_tokens)
            .bind(point.distortion)
            .bind(point.psnr)
            .bind(point.ssim)
            .execute(&mut *transaction)
            .await
            .at(self)?
            .rows_affected();
        }
        if inserted.is_none() && added > 0 {
            // More counts were measured later: their time adds up.
            sqlx::query("update curve set seconds = seconds + ? where id = ?")
                .bind(new.seconds)
                .bind(id)
                .execute(&mut *transaction)
                .await
                .at(self)?;
        }
        transaction.commit().await.at(self)?;
        Ok(Stored { id, existed: inserted.is_none() })
    }
}

impl NewCurve {
    fn check(&self) -> Result<()> {
        let what = |name: &str| format!("{name} of block {} of sample {}", self.block, self.sample);
        finite(self.seconds, || what("the time for the curve"))?;
        for point in &self.points {
            finite(point.distortion, || what(&format!("the distortion at {} tokens", point.kept_tokens)))?;
            finite(point.psnr, || what(&format!("the PSNR at {} tokens", point.kept_tokens)))?;
            finite(point.ssim, || what(&format!("the SSIM at {} tokens", point.kept_tokens)))?;
        }
        Ok(())
    }
}

/// One point joined with its curve.
#[derive(sqlx::FromRow)]
struct JoinedPoint {
    id: CurveId,
    sample_id: SampleId,
    source_id: SourceId,
    block: u32,
    #[sqlx(json)]
    history: Vec<u32>,
    protocol_id: ProtocolId,
    seconds: f64,
    kept_tokens: u32,
    distortion: f64,
    psnr: f64,
    ssim: f64,
}

impl Reader {
    /// The curves measured with these weights, by sample, block, history, protocol. A curve without points is left out.
    pub async fn curves(&self, weights: ContentHash, filter: &CurveFilter) -> Result<Vec<CurveRow>> {
        let joined: Vec<JoinedPoint> = sqlx::query_as(
            "select curve.id, curve.sample_id, sample.source_id, curve.block, curve.history, curve.protocol_id,
                    curve.seconds, kept_tokens, distortion, psnr, ssim
             from curve
             join curve_point on curve_point.curve_id = curve.id
             join sample on sample.id = curve.sample_id
             join source on source.id = sample.source_id
             where curve.weights_hash = ?1
               and (?2 is null or curve.protocol_id = ?2)
               and (?3 is null or source.dataset_id = ?3)
               and (?4 is null or curve.sample_id = ?4)
               and (?5 is null or curve.block = ?5)
               and (?6 is null or curve.history = ?6)
             order by curve.sample_id, curve.block, curve.history, curve.protocol_id, kept_tokens",
        )
        .bind(weights)
        .bind(filter.protocol)
        .bind(filter.dataset)
        .bind(filter.sample)
        .bind(filter.block)
        .bind(filter.history.as_ref().map(Json))
        .fetch_all(&self.pool)
        .await
        .at(self)?;
        let mut curves: Vec<CurveRow> = Vec::new();
        for row in joined {
            if curves.last().is_none_or(|curve| curve.id != row.id) {
                curves.push(CurveRow {
                    id: row.id,
                    sample_id: row.sample_id,
                    source_id: row.source_id,
                    block: row.block,
                    history: row.history,
                    protocol_id: row.protocol_id,
                    seconds: row.seconds,
                    points: Vec::new(),
                });
            }
            let point =
                CurvePoint { kept_tokens: row.kept_tokens, distortion: row.distortion, psnr: row.psnr, ssim: row.ssim };
            curves.last_mut().expect("a curve was just pushed").points.push(point);
        }
        Ok(curves)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::{Workbench, key};
    use super::*;

    fn curve(bench: &Workbench, sample: usize, history: &[u32], counts: &[u32]) -> NewCurve {
        NewCurve {
            weights: key("weights"),
            sample: bench.samples[sample],
            block: history.len() as u32,
            history: history.to_vec(),
            protocol: bench.protocol,
            seconds: 0.5,
            points: counts.iter().map(|&kept_tokens| at(kept_tokens)).collect(),
        }
    }

    fn at(kept_tokens: u32) -> CurvePoint {
        CurvePoint { kept_tokens, distortion: 0.1 / f64::from(kept_tokens), psnr: 30.3, ssim: 0.9 }
    }

    #[tokio::test]
    async fn curves_come_back_exactly_ordered_and_filtered() {
        let bench = Workbench::new().await;
        let store = &bench.store;
        store.put_curve(&curve(&bench, 2, &[], &[256, 64])).await.unwrap();
        store.put_curve(&curve(&bench, 0, &[64], &[128])).await.unwrap();
        store.put_curve(&curve(&bench, 0, &[], &[64, 3])).await.unwrap();
        store.put_curve(&NewCurve { weights: key("other"), ..curve(&bench, 0, &[], &[9]) }).await.unwrap();

        let all = store.curves(key("weights"), &CurveFilter::default()).await.unwrap();
        let order: Vec<_> = all.iter().map(|row| (row.sample_id, row.history.clone())).collect();
        let [first, _, third, _] = bench.samples[..] else { panic!("the fixture has four samples") };
        assert_eq!(order, [(first, vec![]), (first, vec![64]), (third, vec![])]);
        assert_eq!(all[0].points, [at(3), at(64)], "every bit of a distortion is kept");
        assert_eq!((all[0].source_id, all[2].source_id), (bench.sources[0], bench.sources[1]));

        for (filter, count) in [
            (CurveFilter { sample: Some(first), ..Default::default() }, 2),
            (CurveFilter { block: Some(1), ..Default::default() }, 1),
            (CurveFilter { history: Some(vec![]), ..Default::default() }, 2),
            (CurveFilter { history: Some(vec![65]), ..Default::default() }, 0),
            (CurveFilter { dataset: Some(bench.dataset), protocol: Some(bench.protocol), ..Default::default() }, 3),
            (CurveFilter { dataset: Some(DatasetId(99)), ..Default::default() }, 0),
            (CurveFilter { protocol: Some(ProtocolId(99)), ..Default::default() }, 0),
        ] {
            assert_eq!(store.curves(key("weights"), &filter).await.unwrap().len(), count, "{filter:?}");
        }
    }

    #[tokio::test]
    async fn a_curve_gains_points_and_never_changes_one() {
        let bench = Workbench::new().await;
        let first = bench.store.put_curve(&curve(&bench, 0, &[], &[64])).await.unwrap();
        let mut denser = curve(&bench, 0, &[], &[32, 64]);
        denser.points[1].distortion = 9.0;
        assert_eq!(bench.store.put_curve(&denser).await.unwrap(), Stored { id: first.id, existed: true });
        assert!(bench.store.put_curve(&denser).await.unwrap().existed);
        let row = bench.store.curves(key("weights"), &CurveFilter::default()).await.unwrap().remove(0);
        assert_eq!((row.points, row.seconds), (vec![at(32), at(64)], 1.0));
    }

    #[tokio::test]
    async fn a_curve_with_an_infinite_psnr_is_refused() {
        let bench = Workbench::new().await;
        let mut perfect = curve(&bench, 0, &[], &[64]);
        perfect.points[0].psnr = f64::INFINITY;
        let error = bench.store.put_curve(&perfect).await.unwrap_err().to_string();
        assert!(error.starts_with("the PSNR at 64 tokens of block 0 of sample"), "{error}");
        assert!(bench.store.curves(key("weights"), &CurveFilter::default()).await.unwrap().is_empty());
    }
}
