//! The plot: speed relative to PyTorch, one row for each case.

use anyhow::Result;
use benches::cases::Case;
use plotters::prelude::*;

use crate::results::{Measured, Run};

/// Speed relative to PyTorch, one row for each case; `None` without PyTorch.
pub fn svg(run: &Run) -> Result<Option<String>> {
    let others: Vec<&str> = ["ours", "candle", "burn"]
        .into_iter()
        .filter(|side| run.sides.iter().any(|(name, _)| name == side))
        .collect();
    if !run.sides.iter().any(|(name, _)| name == "torch") || others.is_empty() {
        return Ok(None);
    }
    let rows = run.cases.len();
    let speeds = |side: &str| -> Vec<(f64, f64)> {
        let of = |(row, (_, times)): (usize, &(Case, Vec<Measured>))| {
            let speed = run.time("torch", times)? / run.time(side, times)?;
            Some((speed, (rows - row) as f64))
        };
        run.cases.iter().enumerate().filter_map(of).collect()
    };
    let all: Vec<f64> = others
        .iter()
        .flat_map(|s| speeds(s))
        .map(|(speed, _)| speed)
        .collect();
    let low = all.iter().fold(0.5, |a: f64, b| a.min(b / 1.3));
    let high = all.iter().fold(2.0, |a: f64, b| a.max(b * 1.3));
    let mut svg = String::new();
    {
        let root =
            SVGBackend::with_string(&mut svg, (860, 90 + 24 * rows as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        let title = format!(
            "Speed relative to PyTorch, {} thread(s): right is faster",
            run.threads
        );
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(270)
            .build_cartesian_2d((low..high).log_scale(), 0.5..rows as f64 + 0.5)?;
        let name = |y: &f64| {
            let row = (rows as f64 - y).round();
            let whole = (y - y.round()).abs() < 1e-6;
            run.cases
                .get(row as usize)
                .filter(|_| whole)
                .map_or(String::new(), |(case, _)| case.to_string())
        };
        chart
            .configure_mesh()
            .y_labels(2 * rows)
            .y_label_formatter(&name)
            .x_label_formatter(&|x| format!("{x}×"))
            .disable_y_mesh()
            .label_style(("sans-serif", 12))
            .draw()?;
        let even = [(1.0, 0.5), (1.0, rows as f64 + 0.5)];
        chart.draw_series(LineSeries::new(even, BLACK.stroke_width(1)))?;
        // Colours that differ in lightness too, and for the colour-blind (Okabe and Ito, 2008).
        let colours = [
            RGBColor(0, 114, 178),
            RGBColor(230, 159, 0),
            RGBColor(0, 158, 115),
        ];
        for (side, colour) in others.iter().zip(colours) {
            let dots = speeds(side)
                .into_iter()
                .map(move |at| Circle::new(at, 5, colour.filled()));
            chart
                .draw_series(dots)?
                .label(*side)
                .legend(move |(x, y)| Circle::new((x + 8, y), 5, colour.filled()));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.9))
            .border_style(BLACK)
            .label_font(("sans-serif", 12))
            .draw()?;
        root.present()?;
    }
    Ok(Some(svg))
}
