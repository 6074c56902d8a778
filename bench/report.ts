/**
 * A report in HTML that stands alone: no script, no other file, so that it can be sent and kept. One result with its plots, or
 * two beside each other with what `compare` found.
 */
import { faultsOf } from './checks.ts'
import { type Comparison, roundsText, spreadText } from './comparison.ts'
import { type Chart, escaped, type Line, lineChart } from './plot.ts'
import type { BenchResult, SecondResult } from './result.ts'
import type { Rows } from './summary.ts'
import { checksText, findingTexts, grouped, NOTHING_MEASURED, notesOf, shownMs } from './table.ts'

interface Metric {
  readonly name: string
  of(second: SecondResult): number | null
}

interface Plot {
  readonly title: string
  readonly unit: string
  readonly isLog?: boolean
  readonly metrics: readonly Metric[]
}

const PLOTS: readonly Plot[] = [
  {
    title: 'Records a second',
    unit: '',
    metrics: [
      { name: 'acknowledged', of: second => second.acked },
      { name: 'read', of: second => second.received },
      { name: 'failed', of: second => second.failed || null },
    ],
  },
  {
    title: 'Produce latency, by the second in which records were due',
    unit: 'ms',
    isLog: true,
    metrics: [
      { name: 'p50', of: second => second.produce?.p50Ms ?? null },
      { name: 'p99', of: second => second.produce?.p99Ms ?? null },
      { name: 'max', of: second => second.produce?.maxMs ?? null },
    ],
  },
  {
    title: 'End-to-end latency, by the second in which records were due',
    unit: 'ms',
    isLog: true,
    metrics: [
      { name: 'p50', of: second => second.endToEnd?.p50Ms ?? null },
      { name: 'p99', of: second => second.endToEnd?.p99Ms ?? null },
      { name: 'max', of: second => second.endToEnd?.maxMs ?? null },
    ],
  },
  {
    title: 'CPU, parts of one core',
    unit: '',
    metrics: [
      { name: 'brokers together', of: second => second.brokerCpu },
      { name: 'busiest producer process', of: second => second.producerCpu },
      { name: 'busiest consumer process', of: second => second.consumerCpu },
    ],
  },
  {
    title: 'Memory of the brokers (resident)',
    unit: 'MiB',
    metrics: [{ name: 'brokers together', of: ({ brokerRssBytes: b }) => b && b / 2 ** 20 }],
  },
  {
    title: 'Lag: acknowledged and not read yet',
    unit: '',
    metrics: [{ name: 'records', of: second => second.lag }],
  },
]

/** A workload: one result, or two of different clusters and what their comparison found. */
export interface Section {
  readonly results: readonly BenchResult[]
  readonly comparison?: Comparison
}

/** `summary`: of all sections, where there are several. */
export function reportHtml(sections: readonly Section[], summary: Rows | null = null): string {
  const names = sections.map(({ results }) => results[0]!.workload.name).join(', ')
  const labels = sections[0]!.results.map(({ label }) => label).join(' and ')
  const title = `${names} on ${labels}`
  const body = [
    `<h1>${escaped(summary === null ? title : `${sections.length} workloads on ${labels}`)}</h1>`,
    summary === null ? '' : tableHtml(summary.head, summary.rows),
    ...sections.map(section => sectionHtml(section, summary !== null)),
    '<h2>How it was measured</h2>',
    `<ul>${sections[0]!.results[0]!.method.map(one => `<li>${escaped(one)}</li>`).join('')}</ul>`,
  ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head>
<body>${body.join('\n')}</body></html>
`
}

function sectionHtml({ results, comparison }: Section, isNamed: boolean): string {
  const { workload } = results[0]!
  const charts = [...PLOTS.flatMap(plot => chartsOf(plot, results)), ...distributions(results)]
  return [
    isNamed ? `<h1 class="part">${escaped(workload.name)}</h1>` : '',
    `<p>${escaped(workload.description)}</p>`,
    comparison === undefined ? '' : comparisonHtml(comparison),
    ...results.map(resultHtml),
    `<div class="charts">${charts.map(lineChart).join('\n')}</div>`,
    `<details><summary>The workload as a file</summary><pre>${escaped(JSON.stringify(workload, null, 2))}</pre></details>`,
  ].join('\n')
}

/** Of one result a chart with all metrics; of several a chart for each metric, with a line for each. */
function chartsOf({ title, unit, isLog = false, metrics }: Plot, results: readonly BenchResult[]) {
  const line = (name: string, { seconds }: BenchResult, metric: Metric): Line => ({
    name,
    points: seconds.map(second => [second.second, metric.of(second)] as const),
  })
  const hasPoints = ({ points }: Line) => points.some(([, y]) => y !== null)
  const groups: readonly (readonly [string, Line[]])[] =
    results.length === 1
      ? [[title, metrics.map(metric => line(metric.name, results[0]!, metric))]]
      : metrics.map(metric => [
          metrics.length === 1 ? title : `${title}: ${metric.name}`,
          results.map(result => line(result.label, result, metric)),
        ])
  return groups.map(([name, lines]): Chart => {
    return { title: name, unit, isLog, xTitle: 'seconds', lines: lines.filter(hasPoints) }
  })
}

/** Where percentiles stand on an axis that stretches towards 100. */
const NINES = [
  [0, '0'],
  [90, '90 %'],
  [99, '99'],
  [99.9, '99.9'],
  [99.99, '99.99'],
  [99.999, '99.999'],
] as const

function stretched(percentile: number): number {
  return -Math.log10(1 - percentile / 100)
}

function distributions(results: readonly BenchResult[]): Chart[] {
  const lines = (prefix: string, of: (result: BenchResult) => BenchResult['produceDistribution']) =>
    results.map(
      (result): Line => ({
        name: results.length === 1 ? prefix : `${result.label}, ${prefix}`,
        points: of(result).map(([percentile, ms]) => [stretched(percentile), ms] as const),
      }),
    )
  const all = [
    ...lines('produce', result => result.produceDistribution),
    ...lines('end to end', result => result.endToEndDistribution),
  ].filter(({ points }) => points.length > 0)
  const last = Math.max(0, ...all.flatMap(({ points }) => points.map(([x]) => x)))
  const xTicks = NINES.map(([at, text]) => [stretched(at), text] as const).filter(
    ([at]) => at <= last,
  )
  const title = 'Latency distribution of all steps'
  return [{ title, unit: 'ms', isLog: true, xTitle: 'percentile', lines: all, xTicks }]
}

function resultHtml(result: BenchResult): string {
  const { label, cluster, machine, startedAt, isPartial } = result
  const isWell = faultsOf(result.checks) === 0
  const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`
  const facts = `${cluster}. Client ${result.version}, ${result.processes} processes on ${machine.cores} × ${machine.cpu}, ${memory}, ${machine.system}, Node ${machine.node}. ${startedAt}.`
  const notes = [
    ...(isPartial ? ['Interrupted: this is of the part that was run.'] : []),
    ...findingTexts(result),
    ...notesOf(result),
  ]
  return `<h2>${escaped(label)}</h2><p class="facts">${escaped(facts)}</p>
<p class="${isWell ? 'well' : 'ill'}">${escaped(checksText(result))}</p>
${notes.map(note => `<p class="ill">${escaped(note)}</p>`).join('')}
${result.phases.length === 0 ? `<p>${NOTHING_MEASURED}</p>` : phaseTable(result)}`
}

function phaseTable({ phases }: BenchResult): string {
  const head = [
    ...['Step', 'Rate', 'Acked/s', 'Read/s', 'MB/s', 'Failed'],
    ...['Produce p50', 'p99', 'p99.9', 'max', 'End to end p50', 'p99', 'p99.9', 'max'],
    ...['Broker CPU s/M', 'RSS MiB'],
  ]
  const rows = phases.map(phase => {
    const { produce, endToEnd } = phase
    const latencies = [produce, endToEnd].flatMap(one =>
      one === null
        ? ['–', '–', '–', '–']
        : [one.p50Ms, one.p99Ms, one.p999Ms, one.maxMs].map(shownMs),
    )
    return [
      phase.name,
      phase.targetRate === 'max' ? 'max' : grouped(phase.targetRate),
      grouped(phase.ackedPerSecond),
      grouped(phase.receivedPerSecond),
      (phase.receivedBytesPerSecond / 1e6).toFixed(1),
      String(phase.failed),
      ...latencies,
      phase.brokerCpuPerMillion?.toFixed(2) ?? '–',
      phase.brokerRssBytes === null ? '–' : (phase.brokerRssBytes / 2 ** 20).toFixed(0),
    ]
  })
  return tableHtml(head, rows)
}

function comparisonHtml({ rows, rounds, a, b }: Comparison): string {
  const head = ['Step', 'What', a, b, `${a} / ${b}`, '95 %', `${a} is`]
  const shown = rows.map(row => [
    row.step,
    row.metric,
    shownNumber(row.a),
    shownNumber(row.b),
    row.ratio.toFixed(2),
    spreadText(row, ' – '),
    row.verdict,
  ])
  return `<h2>Side by side, ${roundsText(rounds)}</h2>${tableHtml(head, shown)}`
}

function shownNumber(value: number): string {
  return value >= 1000 ? grouped(value) : shownMs(value)
}

function tableHtml(head: readonly string[], rows: readonly (readonly string[])[]): string {
  // A column without a number is text, and reads from the left.
  const isText = head.map((_, i) => rows.every(row => !/^[\d?–]/.test(row[i] ?? '')))
  const cells = (list: readonly string[], tag: string) =>
    list
      .map((text, i) => `<${tag}${isText[i] ? ' class="text"' : ''}>${escaped(text)}</${tag}>`)
      .join('')
  const body = rows.map(row => `<tr>${cells(row, 'td')}</tr>`).join('')
  return `<div class="wide"><table><tr>${cells(head, 'th')}</tr>${body}</table></div>`
}

const STYLE = `
:root{color-scheme:light dark;--line:#8884;--dim:#667;--back:#fff}
@media(prefers-color-scheme:dark){:root{--dim:#aab;--back:#16181c}}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1500px;padding:0 1rem;background:var(--back)}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
.part{font-size:1.3rem;margin-top:3.5rem;padding-top:1rem;border-top:2px solid var(--line)}summary{margin-top:1rem;color:var(--dim)}
.facts{color:var(--dim)}.well::before{content:"✓ ";color:#009e73}.ill::before{content:"! ";color:#d55e00;font-weight:bold}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th.text,td.text{text-align:left}th{color:var(--dim);font-weight:500}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(520px,100%),1fr));gap:1.2rem;margin-top:1.5rem}
svg{width:100%;height:auto}.title{font-weight:600;font-size:14px;fill:currentColor}
.tick{font-size:11px;fill:var(--dim)}.grid{stroke:var(--line)}pre{overflow-x:auto;color:var(--dim)}
`
