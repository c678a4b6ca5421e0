// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"text/template"
)

//go:embed chart.svg
var chartTemplate string

// The measures of a chart, in pixels.
const (
	chartWidth = 760
	barsLeft   = 250
	barsWidth  = 380
	barHeight  = 18
	barPitch   = 26
	groupPitch = 30
	headHeight = 64
	footHeight = 64
)

// A picture is what the template takes.
type picture struct {
	Title, Better, How, Command, Text string
	Width, Height, Foot               int
	Labels                            []label
	Bars                              []bar
}

type label struct {
	Y    int
	Text string
}

type bar struct {
	Y, Width   int
	Name, Text string
	Ours       bool
	Dots       []int // the single measurements
}

// svg returns the chart as an SVG. A bar is the median, its dots are the single
// measurements.
func (c chart) svg(r results) ([]byte, error) {
	how, err := r.how()
	if err != nil {
		return nil, err
	}
	p := picture{Title: c.title, Better: "less is better", How: how, Command: r.config["command"], Width: chartWidth}
	if !c.less {
		p.Better = "more is better"
	}
	greatest := c.greatest(r)
	y := headHeight
	var text []string
	for _, row := range c.rows {
		if len(r.order[row.name]) < 2 {
			return nil, errors.New("the results have no peer for " + row.name)
		}
		p.Labels = append(p.Labels, label{y + 14, row.label})
		y += groupPitch - 6
		var figures []string
		for _, side := range r.order[row.name] {
			if sides[side] == "" {
				return nil, errors.New("the side " + side + " has no name")
			}
			values := r.values[row.name][side]
			middle := median(values)
			b := bar{Y: y, Width: pixels(middle, greatest), Name: sides[side], Text: format(middle, c.unit), Ours: side == "pismoauth"}
			for _, v := range values {
				b.Dots = append(b.Dots, barsLeft+pixels(v, greatest))
			}
			p.Bars = append(p.Bars, b)
			figures = append(figures, b.Name+" "+b.Text)
			y += barPitch
		}
		text = append(text, row.label+": "+strings.Join(figures, ", "))
		y += 6
	}
	p.Text = strings.Join(text, "; ") + ". Medians; " + p.Better + "."
	p.Foot, p.Height = y+18, y+footHeight-10
	var out bytes.Buffer
	err = template.Must(template.New("chart").Funcs(template.FuncMap{
		"escape": template.HTMLEscapeString,
		"add":    func(a, b int) int { return a + b },
	}).Parse(chartTemplate)).Execute(&out, p)
	return out.Bytes(), err
}

// greatest returns the greatest value of a chart.
func (c chart) greatest(r results) (greatest float64) {
	for _, row := range c.rows {
		for _, values := range r.values[row.name] {
			greatest = max(greatest, slices.Max(values))
		}
	}
	return greatest
}

func pixels(value, greatest float64) int { return int(value / greatest * barsWidth) }
