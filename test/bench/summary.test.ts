/** Several workloads in one table, alone and beside each other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseFaults } from '../../bench/bench-options.ts'
import { NO_FAULTS } from '../../bench/checks.ts'
import { compareResults } from '../../bench/comparison.ts'
import { reportHtml } from '../../bench/report.ts'
import { comparedRows, notesOfMany, rowsText, summaryRows } from '../../bench/summary.ts'
import { madeResult } from './made-result.ts'

test('a line for each step of each workload, with its faults', () => {
  const ill = { ...NO_FAULTS, lost: 1, duplicated: 2, reread: 9 }
  const text = rowsText(summaryRows([madeResult(), madeResult({ result: { checks: ill } })]))
  assert.match(text, /^WORKLOAD +STEP +RATE +ACKED\/S/)
  const line = /\nmade +step 1 +10,000 +10,000 +10,000 +1\.00 +5\.00 +1500 +2\.50 +80 +/.source
  assert.match(text, new RegExp(`${line}well${line}3 ill\n$`))
})

test('both sides with their ratio, and whether it says anything', () => {
  const rates = (label: string, list: readonly number[]) =>
    list.map(ackedPerSecond => madeResult({ label, phase: { ackedPerSecond } }))
  const of = (a: readonly number[], b: readonly number[]) => {
    const results = [rates('ottla', a), rates('kafka', b)] as const
    return { name: 'made', comparison: compareResults(...results), results }
  }
  const cells = (a: readonly number[], b: readonly number[]) =>
    comparedRows([of(a, b)]).rows[0]!.slice(0, 5)
  assert.deepEqual(cells([200, 202, 198], [100, 101, 99]), ['made', 'step 1', '200', '100', '2.00'])
  assert.equal(cells([100, 120, 90], [110, 95, 105])[4], '0.99~')
  assert.equal(cells([200], [100])[4], '2.00?')
})

test('of many runs it is said once that the machine was full, and what else there is with its name', () => {
  const saturation = [
    'A producer process waited 40 % of the time for a processor: and so on.',
    'step 1: late.',
  ]
  const cores = { brokers: 0.5, bench: 1, others: 0.4 }
  const full = madeResult({ result: { saturation, cores } })
  const own = madeResult({ result: { saturation, cores: { ...cores, others: 0.1 } } })
  const ill = madeResult({ result: { checks: { ...NO_FAULTS, lost: 1 } } })
  const text = notesOfMany([
    ['a', full],
    ['b', { ...full, cores: { ...cores, others: 0.7 } }],
    ['c', ill],
    ['d', own],
  ])
  assert.deepEqual(text.split('\n'), [
    'a: step 1: late.',
    'b: step 1: late.',
    'c: Records: 1 lost, 0 twice, 0 out of order, 0 damaged.',
    'd: step 1: late.',
    'In 2 of 4 runs other work had processors of this machine, up to 0.7 of 2 cores, and every figure shows it.',
    'In 1 of 4 runs brokers and bench waited for the 2 cores they share, and every figure shows it.',
    '',
  ])
})

test('a report of several has their table, and a part for each', () => {
  const results = [madeResult(), madeResult()]
  const sections = results.map(result => ({ results: [result] }))
  const html = reportHtml(sections, summaryRows(results))
  assert.match(html, /<h1>2 workloads on localhost:9092<\/h1>/)
  assert.equal(html.match(/<h1 class="part">made<\/h1>/g)?.length, 2)
  assert.equal(html.match(/<svg /g)?.length, 14)
  assert.doesNotMatch(html, /<script|src=|href=|NaN|Infinity|undefined/)
})

test('what ends with exit code 1: a record that is wrong, or one that was not acknowledged', () => {
  refuseFaults([madeResult(), madeResult({ result: { checks: { ...NO_FAULTS, reread: 9 } } })])
  const lost = madeResult({ result: { checks: { ...NO_FAULTS, lost: 1 } } })
  const failed = madeResult({ phase: { failed: 1 } })
  const name = 'ProblemsFoundError'
  assert.throws(() => refuseFaults([madeResult(), lost, failed]), { name, message: /arrived once/ })
  const message = 'not every record was acknowledged: see above.'
  assert.throws(() => refuseFaults([madeResult(), failed]), { name, message })
})
