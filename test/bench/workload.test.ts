/** Workload files: what may stand there, what may not, and the named ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namedWorkload, workloadNames } from '../../bench/named-workloads.ts'
import { DEFAULTS, meanBytes, parseWorkload, workloadOf } from '../../bench/workload.ts'

test('YAML and JSON say the same, and what they leave out is the default', () => {
  const yaml = `
name: mine
recordBytes: { min: 100, max: 300 }
steps:
  - { rate: 500, seconds: 2 }
  - { rate: max, seconds: 1 }
`
  const workload = parseWorkload(yaml, 'mine.yaml')
  const { recordBytes, steps } = workload
  assert.deepEqual(workload, { ...DEFAULTS, name: 'mine', recordBytes, steps })
  assert.deepEqual(steps, [
    { rate: 500, seconds: 2 },
    { rate: 'max', seconds: 1 },
  ])
  assert.equal(meanBytes(workload), 200)
  assert.deepEqual(parseWorkload(JSON.stringify(workload), 'mine.json'), workload)
})

test('everything that is wrong is told at once', () => {
  const wrong = {
    topics: 0,
    partition: 3,
    compression: 'zip',
    acks: 2,
    recordBytes: { min: 50, max: 40 },
    compressibility: 1.5,
    steps: [{ rate: -1, seconds: 1 }],
    pauses: [{ atSeconds: 1 }],
    groupProtocol: 'none',
    restarts: [{ atSeconds: 1, seconds: 1 }],
    topicConfigs: { 'retention.ms': {} },
  }
  assert.throws(
    () => workloadOf(wrong, 'w.yaml'),
    (error: Error) => {
      assert.equal(error.name, 'UsageError')
      for (const part of [
        /^w\.yaml: it has no partition; there are name, /,
        /topics is no whole number from 1 to 10000/,
        /compression is 'zip', not none, gzip/,
        /acks is '2', not all, 1, 0/,
        /recordBytes is no size or \{ min, max \} from 22/,
        /compressibility is no number from 0 to 1/,
        /steps is no list of/,
        /pauses is no list of/,
        /restarts need groups/,
        /topicConfigs is no list of settings/,
      ]) {
        assert.match(error.message, part)
      }
      return true
    },
  )
  for (const text of ['- a', 'text', '', '{a: ']) {
    assert.throws(() => parseWorkload(text, 'x'), { name: 'UsageError' }, text)
  }
})

test('the bounds of a record size', () => {
  assert.equal(workloadOf({ recordBytes: 22 }, 'x').recordBytes, 22)
  for (const recordBytes of [21, '100', null, 100.5, 64 * 1024 * 1024 + 1]) {
    assert.throws(() => workloadOf({ recordBytes }, 'x'), /recordBytes is no size/)
  }
})

test('the named workloads are in order', () => {
  assert(workloadNames.length >= 12)
  for (const name of workloadNames) {
    const workload = namedWorkload(name)
    assert.equal(workload?.name, name)
    assert.notEqual(workload?.description, '')
  }
  assert.equal(namedWorkload('toString'), null)
})
