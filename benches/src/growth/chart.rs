//! Curves as SVG: both axes logarithmic, text as text, so that no fonts are needed.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::figure::{Figure, short};

const SIZE: (u32, u32) = (760, 440);

/// Told apart by those who see no red or no green too (Okabe and Ito).
pub(super) const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

pub(super) fn draw(figure: &Figure) -> Result<String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    sketch(figure, &root).map_err(|error| anyhow!("cannot draw {}: {error}", figure.name))?;
    drop(root);
    Ok(svg)
}

type Sheet<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn sketch(figure: &Figure, root: &Sheet<'_>) -> Result<(), Box<dyn std::error::Error>> {
    // Its own ground: pages may be dark.
    root.fill(&WHITE)?;
    let xs = span(figure.points().map(|(x, _)| x), 1.0);
    let ys = span(figure.points().map(|(_, y)| y), 2.0);
    let mut chart = ChartBuilder::on(root)
        .caption(&figure.title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(figure.x)
        .y_desc(figure.y)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .label_style(("sans-serif", 13))
        .light_line_style(WHITE)
        .draw()?;
    for (curve, colour) in figure.curves.iter().zip(COLOURS.iter().cycle()) {
        let line = LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2));
        chart
            .draw_series(line)?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let dots = curve.points.iter();
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}

/// From the least to the most, with room by this factor; never empty, and never at nought, which has no logarithm.
fn span(values: impl Iterator<Item = f64>, room: f64) -> std::ops::Range<f64> {
    let positive = values.filter(|value| *value > 0.0);
    let (least, most) = positive.fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    match least <= most {
        true => least / room..(most * room).max(least / room * 1.5),
        false => 1.0..10.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::figure::Curve;

    fn figure(curves: Vec<Curve>) -> Figure {
        Figure {
            name: "f",
            title: "A title".into(),
            about: String::new(),
            x: "processes",
            y: "commands",
            curves,
        }
    }

    #[test]
    fn a_curve_has_its_points_and_its_words() {
        let mut curve = Curve::new("ours");
        curve.points = vec![(1.0, 4.0), (10.0, 5.0), (100.0, 4.0)];
        let svg = draw(&figure(vec![curve])).unwrap();
        assert!(svg.starts_with("<svg"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        for word in ["A title", "processes", "commands", "ours"] {
            assert!(svg.contains(word), "{word}");
        }
    }

    #[test]
    fn nothing_and_one_point_can_be_drawn() {
        assert!(draw(&figure(vec![])).is_ok());
        let mut curve = Curve::new("one");
        curve.points = vec![(1.0, 0.0), (1.0, 1.0)];
        assert!(draw(&figure(vec![curve])).is_ok());
        assert_eq!(span([0.0].into_iter(), 2.0), 1.0..10.0);
        assert_eq!(span([4.0, 8.0].into_iter(), 2.0), 2.0..16.0);
    }
}
