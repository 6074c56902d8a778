/** Table, line of progress, plots and report of results that no run has made. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { liveText } from '../../bench/bench-options.ts'
import { NO_FAULTS } from '../../bench/checks.ts'
import { compareResults } from '../../bench/comparison.ts'
import { lineChart } from '../../bench/plot.ts'
import { reportHtml } from '../../bench/report.ts'
import { resultText } from '../../bench/table.ts'
import { madeResult } from './made-result.ts'

test('the table says rates, latencies, checks, and why the figures may be the client’s', () => {
  const text = resultText(madeResult({ result: { saturation: ['The client was the limit.'] } }))
  assert.match(text, /^made on localhost:9092\n1 broker\(s\)/)
  assert.match(text, /\nstep 1 +10,000 +10,000 +10,000 +1\.0 +0 +2\.50 +80 +6\.00\n/)
  assert.match(text, /\nstep 1 +end to end +1\.50 +1\.00 +2\.00 +5\.00 +12\.0 +120 +1500\n/)
  assert.match(text, /Records: 0 lost, 0 twice, 0 out of order, 0 damaged\./)
  assert.match(text, /The client was the limit\.\n$/)
  assert.match(
    resultText(madeResult({ result: { isPartial: true } })),
    /\(interrupted: of the part/,
  )
})

test('the line of progress', () => {
  const progress = { second: 12, totalSeconds: 35, phase: 'step 1', acked: 10_000, received: 9_998 }
  const text = liveText({ ...progress, failed: 1, lag: 1_200, produce: null, endToEnd: null })
  assert.equal(
    text,
    '12/35 s step 1, 10,000/s acked p50 - p99 - ms, 9,998/s read p50 - p99 - ms, lag 1,200, 1 failed',
  )
})

test('a chart: a line with its gap, ticks and names; nothing where nothing was measured', () => {
  const points = [0, 1, 2, 3].map(x => [x, x === 2 ? null : x * 10] as const)
  const chart = { title: 'T', unit: 'ms', xTitle: 'seconds', lines: [{ name: 'a<b', points }] }
  const svg = lineChart(chart)
  const [, d] = /<path d="([^"]*)"/.exec(svg) ?? []
  // The point behind the gap is a dot of its own.
  assert.match(d ?? '', /^M([\d. ]+)L\1L[\d. ]+M([\d. ]+)L\2$/)
  assert.match(svg, />a&lt;b</)
  assert.match(svg, />50 ms</)
  assert.equal(lineChart({ ...chart, lines: [{ name: 'a', points: [[0, null]] }] }), '')
  const log = lineChart({
    ...chart,
    isLog: true,
    lines: [
      {
        name: 'a',
        points: [
          [0, 0.02],
          [1, 150],
        ],
      },
    ],
  })
  for (const tick of ['0.01 ms', '1 ms', '1000 ms']) assert(log.includes(`>${tick}<`), tick)
  assert.doesNotMatch(log + svg, /NaN|Infinity|undefined/)
})

test('a report stands alone, and is text where the workload has signs of HTML in it', () => {
  const html = reportHtml([{ results: [madeResult()] }])
  assert.doesNotMatch(html, /<script|src=|href=|url\(|NaN|undefined/)
  assert.match(html, /<p>a &lt; b &amp; &quot;c&quot;<\/p>/)
  assert.equal(html.match(/<svg /g)?.length, 7)
  assert.match(html, /class="well">Records: 0 lost/)
  const ill = { ...NO_FAULTS, lost: 1 }
  assert.match(
    reportHtml([{ results: [madeResult({ result: { checks: ill } })] }]),
    /class="ill">Records: 1 lost/,
  )
})

test('two results stand beside each other, with a line for each in every chart', () => {
  const [a, b] = ['ottla', 'kafka'].map(label => madeResult({ label })) as [
    ReturnType<typeof madeResult>,
    ReturnType<typeof madeResult>,
  ]
  const html = reportHtml([{ results: [a, b], comparison: compareResults([a, a, a], [b, b, b]) }])
  assert.match(html, /<h2>Side by side, 3 rounds<\/h2>/)
  assert.match(html, /aria-label="Produce latency[^"]*: p99: ottla, kafka"/)
  assert.match(html, /<th>95 %<\/th><th class="text">ottla is<\/th>/)
  assert.match(html, /within the noise/)
})

test('what is wrong with records is said in words, with its place, in table and report', () => {
  const place = { group: 1, topic: 't', partition: 3, producer: 0 }
  const findings = [
    { ...place, kind: 'lost', offset: 17, sequence: 5, records: 2 },
    { ...place, kind: 'lost', offset: null, sequence: 9, records: 1 },
    { ...place, kind: 'corrupt', offset: 18, sequence: null, producer: null, records: 1 },
    { ...place, kind: 'reread', offset: 19, sequence: null, producer: null, records: 1 },
  ] as const
  const checks = { ...NO_FAULTS, lost: 3, corrupt: 1, duplicated: 1 }
  const result = madeResult({ result: { findings, checks } })
  const sentences = [
    'Lost: topic t, partition 3, before offset 17: records 5 to 6 of producer 0 were acknowledged and never read.',
    'Lost: topic t, partition 3: record 9 of producer 0 was acknowledged and never read.',
    'Damaged: topic t, partition 3, offset 18: the value is not what this run has written.',
    'Twice: topic t, partition 3, offset 19: this place of the log was handed out twice.',
  ]
  assert(resultText(result).includes(`\n${sentences.join('\n')}\n`), resultText(result))
  const html = reportHtml([{ results: [result] }])
  for (const sentence of sentences) assert(html.includes(`<p class="ill">${sentence}</p>`))
  const several = madeResult({
    result: {
      workload: { ...result.workload, groups: 2 },
      checks,
      findings: Array.from({ length: 20 }, () => findings[0]),
    },
  })
  assert.match(resultText(several), /before offset 17, read by group 1: records 5/)
  assert.match(resultText(several), /\nThese are the first 20\.\n/)
})

test('what ended in the warm-up has no empty tables', () => {
  const result = madeResult({ result: { isPartial: true, phases: [] } })
  for (const text of [resultText(result), reportHtml([{ results: [result] }])]) {
    assert.match(text, /It ended in the warm-up: nothing was measured\./)
    assert.doesNotMatch(text, /ACKED\/S|<th>Rate/)
  }
})
