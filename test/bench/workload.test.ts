/** Workload files: what may stand there, what may not, and the named ones. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { adjusted, loadWorkload, loadWorkloads } from '../../bench/bench-options.ts'
import { namedWorkload, workloadNames } from '../../bench/named-workloads.ts'
import {
  DEFAULTS,
  meanBytes,
  parseWorkload,
  withMembers,
  workloadOf,
} from '../../bench/workload.ts'

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
    name: 'my load',
    description: 7,
    partition: 3,
    partitions: 'three',
    compression: 'zip',
    acks: 2,
    recordBytes: { min: 50, max: 40 },
    compressibility: 1.5,
    steps: [{ rate: 1, seconds: 1 }, { rate: -1, seconds: 1, secs: 2 }, 5],
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
        /name is "my load", not of letters/,
        /description is 7, no text/,
        /topics is 0, no whole number from 1 to 10000/,
        /partitions is "three", no whole number/,
        /compression is "zip", not none, gzip/,
        /acks is 2, not all, 1, 0/,
        /recordBytes is \{"min":50,"max":40\}, no size or \{ min, max \} from 22/,
        /compressibility is 1\.5, no number from 0 to 1/,
        /; steps, number 2 has secs; there are \{ rate, seconds \};/,
        /; steps, number 2: rate is -1, no number above 0, nor 'max';/,
        /; steps, number 3 is 5, not \{ rate, seconds \};/,
        /; pauses, number 1: seconds is missing, no number above 0;/,
        /restarts need groups/,
        /topicConfigs is no list of settings/,
      ]) {
        assert.match(error.message, part)
      }
      return true
    },
  )
  assert.throws(() => workloadOf({ steps: [] }, 'x'), /steps is an empty list/)
  assert.throws(() => workloadOf({ steps: 3 }, 'x'), /steps is no list of \{ rate, seconds \}/)
})

test('a file that cannot be read as YAML says where', () => {
  for (const [text, message] of [
    ['- a', 'x is no workload: it has no fields.'],
    ['text', 'x is no workload: it has no fields.'],
    ['', 'x is no workload: it has no fields.'],
    ['{a: ', /^x: .* at line 1, column \d+\.$/],
    ['topics: 1\nsteps:\n  - rate: 5\n   seconds: 10', /^x: .* at line 4, column 1\.$/],
    ['topics: *a', /^x: Unresolved alias .*: a\.$/],
  ] as const) {
    assert.throws(() => parseWorkload(text, 'x'), { name: 'UsageError', message }, text)
  }
})

test('idempotence goes with acks, as in Kafka’s clients', () => {
  assert.equal(workloadOf({}, 'x').idempotent, true)
  assert.equal(workloadOf({ acks: 1 }, 'x').idempotent, false)
  assert.equal(workloadOf({ acks: 0 }, 'x').idempotent, false)
  assert.equal(workloadOf({ acks: 1, idempotent: true }, 'x').idempotent, true)
})

test('what happens in a run has to happen before its end, and keeps its place when it is shortened', async () => {
  const steps = [{ rate: 100, seconds: 30 }]
  const of = (seconds: number) =>
    workloadOf({ steps, warmupSeconds: 6, pauses: [{ atSeconds: 10, seconds }] }, 'x')
  assert.throws(() => of(21), /pauses go on when the steps are over/)
  const options = { bootstrap: '', workers: 1 }
  const tenth = adjusted(of(20), { ...options, shorten: 10 })
  assert.deepEqual(tenth.steps, [{ rate: 100, seconds: 3 }])
  assert.deepEqual([tenth.warmupSeconds, tenth.pauses], [0.6, [{ atSeconds: 1, seconds: 2 }]])
  const given = adjusted(of(20), { ...options, seconds: 15, warmup: 1 })
  assert.deepEqual([given.warmupSeconds, given.pauses], [1, [{ atSeconds: 5, seconds: 10 }]])
  const names = (await loadWorkloads(['all', 'small'], options)).map(({ name }) => name)
  assert.deepEqual(names, [...workloadNames, 'small'])
})

test('what cannot go well is told before anything is run', async () => {
  const options = { bootstrap: '', workers: 1 }
  await assert.rejects(loadWorkloads([], options), /name a workload: steady, .*'all'/)
  await assert.rejects(loadWorkloads(['stedy'], options), /there is no workload 'stedy'/)
  for (const report of ['/no/such/folder/report.html', tmpdir()]) {
    await assert.rejects(loadWorkloads(['steady'], { ...options, report }), {
      name: 'UsageError',
      message: /^cannot write '.*': (there is no such file or folder|it is a directory)\.$/,
    })
  }
})

test('the bounds of a record size', () => {
  assert.equal(workloadOf({ recordBytes: 22 }, 'x').recordBytes, 22)
  for (const recordBytes of [21, '100', null, 100.5, 64 * 1024 * 1024 + 1]) {
    assert.throws(() => workloadOf({ recordBytes }, 'x'), /recordBytes is .*, no size/)
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

test('a workload that the bundled program prints is one that it can read', () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['bin/ottla', 'bench', 'show', 'many-topics'],
    { encoding: 'utf8' },
  )
  assert.equal(status, 0, stderr)
  assert.deepEqual(parseWorkload(stdout, 'x'), namedWorkload('many-topics'))
})

test('as many producers and consumers as processes, and no consumer without a partition', () => {
  const of = (given: object, processes: number) => {
    const { producers, consumersPerGroup } = withMembers(workloadOf(given, 'x'), processes)
    return [producers, consumersPerGroup]
  }
  assert.deepEqual(of({}, 1), [1, 1])
  assert.deepEqual(of({}, 4), [4, 4])
  assert.deepEqual(of({ groups: 3 }, 4), [4, 2])
  assert.deepEqual(of({ groups: 5, producers: 3 }, 2), [3, 1])
  assert.deepEqual(of({ groups: 0 }, 2), [2, 2])
  assert.deepEqual(of({ partitions: 2, consumersPerGroup: 3 }, 4), [4, 3])
  assert.deepEqual(of({ partitions: 2 }, 4), [4, 2])
  assert.deepEqual(of({ partitions: 100 }, 1000), [64, 64])
})

test('a file without a name in it is called as the file is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ottla-workload-'))
  try {
    for (const [file, text, name] of [
      ['mine.yaml', 'topics: 2', 'mine'],
      ['other.json', '{"name": "own"}', 'own'],
      ['two words.yaml', 'topics: 2', 'unnamed'],
    ] as const) {
      writeFileSync(join(folder, file), text)
      assert.equal((await loadWorkload(join(folder, file))).name, name)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
