//! Lines over two axes, as an SVG picture on a ground of its own, so that it can be read on a light page and on a dark one.

use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::{
    ChartBuilder, DashedLineSeries, IntoDrawingArea as _, IntoLogRange as _, LineSeries, RGBColor, SVGBackend,
    SeriesLabelPosition, ShapeStyle, WHITE,
};

use crate::Failure;
use crate::report::REFERENCE;

const SIZE: (u32, u32) = (760, 440);
const INK: RGBColor = RGBColor(60, 64, 72);
const MESH: RGBColor = RGBColor(222, 225, 230);
const OF_REFERENCE: RGBColor = RGBColor(92, 112, 144);
const OF_OTHERS: RGBColor = RGBColor(204, 82, 20);
/// How wide a line is, in pixels, and how long its dashes and the gaps between them.
const WIDTH: u32 = 2;
const DASH: (u32, u32) = (7, 5);

/// One line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Whose it is, which says its colour.
    pub(crate) who: &'a str,
    /// What it shows of them, where there are several.
    pub(crate) what: &'a str,
    /// Whether it is drawn in dashes.
    pub(crate) is_dashed: bool,
    /// From the left to the right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero on.
    Linear,
    /// Each power of ten as high as the others.
    Logarithmic,
}

/// All that is drawn.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    /// What it shows.
    pub(crate) title: &'a str,
    /// What stands at the axis below, and at the one on the left.
    pub(crate) axes: [&'a str; 2],
    /// Of the axis on the left.
    pub(crate) scale: Scale,
    /// In the order of the legend.
    pub(crate) lines: Vec<Line<'a>>,
}

impl Picture<'_> {
    /// Draws it into `file`.
    pub(crate) fn draw(&self, file: &Path) -> Result<(), Failure> {
        let values = || self.lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if !(least > 0.0 && most.is_finite()) {
            return Err("a picture of nothing".into());
        }
        match self.scale {
            Scale::Linear => self.over(file, 0.0..most * 1.08),
            // From a whole decade, and with room for the legend.
            Scale::Logarithmic => {
                let first = 10_f64.powf(least.log10().floor());
                self.over(file, (first..most * 4.0).log_scale())
            }
        }
    }

    fn over<Values>(&self, file: &Path, values: Values) -> Result<(), Failure>
    where
        Values: AsRangedCoord<Value = f64>,
        Values::CoordDescType: ValueFormatter<f64>,
    {
        let most = self.lines.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at)).fold(0.0, f64::max);
        let area = SVGBackend::new(file, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(told)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 19, &INK))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..most * 1.02, values)
            .map_err(told)?;
        let [below, left] = self.axes;
        chart
            .configure_mesh()
            .x_desc(below)
            .y_desc(left)
            .label_style(("sans-serif", 14, &INK))
            .axis_desc_style(("sans-serif", 15, &INK))
            .axis_style(INK)
            .bold_line_style(MESH)
            .light_line_style(WHITE)
            .x_label_formatter(&plain)
            .y_label_formatter(&plain)
            .draw()
            .map_err(told)?;
        for line in &self.lines {
            let color = if line.who == REFERENCE { OF_REFERENCE } else { OF_OTHERS };
            let style = ShapeStyle { color: color.into(), filled: true, stroke_width: WIDTH };
            let points = line.points.clone();
            let drawn = if line.is_dashed {
                chart.draw_series(DashedLineSeries::new(points, DASH.0, DASH.1, style))
            } else {
                chart.draw_series(LineSeries::new(points, style).point_size(3))
            };
            let dash = if line.is_dashed { DASH } else { (24, 0) };
            drawn
                .map_err(told)?
                .label(format!("{} {}", line.who, line.what).trim())
                .legend(move |(x, y)| DashedPathElement::new(vec![(x, y), (x + 24, y)], dash.0, dash.1, style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .legend_area_size(30)
            .margin(8)
            .label_font(("sans-serif", 14, &INK))
            .background_style(WHITE)
            .border_style(MESH)
            .draw()
            .map_err(told)?;
        area.present().map_err(told)
    }
}

/// A number without digits that say nothing.
fn plain(number: &f64) -> String {
    format!("{}", (number * 1000.0).round() / 1000.0)
}

/// What went wrong with a drawing, which is not for every thread.
fn told(error: impl std::fmt::Display) -> Failure {
    format!("the picture cannot be drawn: {error}").into()
}
