/** Line charts as SVG text: small, and enough for a report that has to stand alone. */

export interface Line {
  readonly name: string
  /** Null leaves a gap. */
  readonly points: readonly (readonly [x: number, y: number | null])[]
  /** Nothing that was measured: grey and dashed. */
  readonly isBound?: true
}

export interface Chart {
  readonly title: string
  readonly unit: string
  readonly xTitle: string
  readonly lines: readonly Line[]
  /** Logarithmic from bottom to top: for latencies, which span decades. */
  readonly isLog?: boolean
  /** Places and texts on the x axis; default: round numbers. */
  readonly xTicks?: readonly (readonly [x: number, text: string])[]
}

const WIDTH = 720
const HEIGHT = 270
const MARGIN = { left: 64, right: 16, top: 44, bottom: 40 }
/** Told apart by people who do not see all colours (Okabe and Ito). */
export const COLOURS: readonly string[] = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
]

interface Scale {
  readonly low: number
  readonly high: number
  /** 0 to 1. */
  place(value: number): number
}

export function lineChart(chart: Chart): string {
  const { title, unit, lines, isLog = false, xTitle } = chart
  const points = lines.flatMap(line => line.points)
  const values = points.flatMap(([, y]) => (y === null ? [] : [y]))
  if (values.length === 0) return ''
  const x = linear(Math.min(...points.map(p => p[0])), Math.max(...points.map(p => p[0])))
  const y = isLog ? logarithmic(values) : linear(0, niceAbove(Math.max(...values)))
  const left = (value: number) =>
    MARGIN.left + x.place(value) * (WIDTH - MARGIN.left - MARGIN.right)
  const top = (value: number) =>
    HEIGHT - MARGIN.bottom - y.place(value) * (HEIGHT - MARGIN.top - MARGIN.bottom)
  const xTicks = chart.xTicks ?? ticks(x.low, x.high).map(at => [at, shown(at)] as const)
  const yTicks = isLog ? decades(y) : ticks(y.low, y.high)
  const parts = [
    `<text class="title" x="${MARGIN.left}" y="16">${escaped(title)}</text>`,
    ...yTicks.map(at => gridLine(top(at), withUnit(at, unit))),
    ...xTicks.map(([at, text]) => xLabel(left(at), text)),
    `<text class="tick" text-anchor="end" x="${WIDTH - MARGIN.right}" y="${HEIGHT - 4}">${escaped(xTitle)}</text>`,
    ...lines.map((line, i) => path(line, colour(line, i), left, top)),
    legend(lines),
  ]
  const label = `${title}: ${lines.map(({ name }) => name).join(', ')}`
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(label)}">${parts.join('')}</svg>`
}

function colour({ isBound }: Line, index: number): string {
  return isBound === true ? '#808080' : COLOURS[index % COLOURS.length]!
}

function linear(low: number, high: number): Scale {
  const width = high - low || 1
  return { low, high, place: value => (value - low) / width }
}

function logarithmic(values: readonly number[]): Scale {
  const least = Math.min(...values.filter(value => value > 0), 1)
  const low = 10 ** Math.floor(Math.log10(least))
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values, low * 10)))
  const width = Math.log10(high / low)
  return { low, high, place: value => Math.log10(Math.max(value, low) / low) / width }
}

function decades({ low, high }: Scale): number[] {
  const count = Math.round(Math.log10(high / low))
  return Array.from({ length: count + 1 }, (_, i) => low * 10 ** i)
}

/** The next of 1, 2, 5, 10, 20, … */
function niceAbove(value: number): number {
  if (value <= 0) return 1
  const decade = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map(step => step * decade).find(nice => nice >= value) ?? value
}

const TICKS = 5

function ticks(low: number, high: number): number[] {
  const step = niceAbove((high - low) / TICKS || 1)
  const list: number[] = []
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1000; at += step) list.push(at)
  return list
}

function shown(value: number): string {
  const size = Math.abs(value)
  if (size >= 1e6) return `${trimmed(value / 1e6)} M`
  if (size >= 1e4) return `${trimmed(value / 1e3)} k`
  return trimmed(value)
}

function withUnit(value: number, unit: string): string {
  return unit === 'ms' && value >= 1e4 ? `${shown(value / 1000)} s` : `${shown(value)} ${unit}`
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)))
}

function gridLine(y: number, text: string): string {
  const [from, to] = [MARGIN.left, WIDTH - MARGIN.right]
  return `<line class="grid" x1="${from}" x2="${to}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/><text class="tick" text-anchor="end" x="${from - 6}" y="${(y + 4).toFixed(1)}">${escaped(text)}</text>`
}

function xLabel(x: number, text: string): string {
  return `<text class="tick" text-anchor="middle" x="${x.toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 16}">${escaped(text)}</text>`
}

function path(
  { name, points, isBound }: Line,
  stroke: string,
  left: (x: number) => number,
  top: (y: number) => number,
): string {
  let isDrawing = false
  let d = ''
  for (const [x, y] of points) {
    if (y === null) {
      isDrawing = false
      continue
    }
    const at = `${left(x).toFixed(1)} ${top(y).toFixed(1)}`
    // A point between two gaps is a dot: a line to itself, with round ends.
    d += isDrawing ? `L${at}` : `M${at}L${at}`
    isDrawing = true
  }
  const dashes = isBound === true ? ' stroke-dasharray="5 5"' : ''
  return `<path d="${d}" fill="none" stroke="${stroke}" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round"${dashes}><title>${escaped(name)}</title></path>`
}

function legend(lines: readonly Line[]): string {
  let x = MARGIN.left
  return lines
    .map((line, i) => {
      const { name } = line
      const at = x
      x += 24 + name.length * 7
      return `<rect x="${at}" y="28" width="12" height="4" fill="${colour(line, i)}"/><text class="tick" x="${at + 16}" y="34">${escaped(name)}</text>`
    })
    .join('')
}

export function escaped(text: string): string {
  const entities: { readonly [char: string]: string } = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
  }
  return text.replace(/[&<>"]/g, char => entities[char]!)
}
