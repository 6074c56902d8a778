/**
 * `ottla bench` against brokers in processes of their own: a stall is seen by all records that it kept waiting, the named
 * workloads run against Ottla and Kafka, Ctrl-C leaves a report, and a browser shows what the report should.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type CheckCounts, NO_FAULTS } from '../../bench/checks.ts'
import { workloadNames } from '../../bench/named-workloads.ts'
import type { BenchResult } from '../../bench/result.ts'
import { runWorkload } from '../../bench/run.ts'
import { resultText } from '../../bench/table.ts'
import { workloadOf } from '../../bench/workload.ts'
import { type Fault, TamperingProxy } from '../bench/tampering-proxy.ts'
import { tier } from '../tiers.ts'
import {
  adopt,
  missing,
  OTTLA,
  run,
  startKafka,
  startOttla,
  temporaryDirectory,
} from './harness.ts'

const BROKERS = [
  ['ottla', startOttla, false],
  ['kafka', startKafka, missing('kafka')],
] as const

const SOFTWARE = {
  ottla: /^ottla \d+\.\d+\.\d+: 1 broker, .* as in Kafka 4\.3$/,
  kafka: /^Apache Kafka 4\.3\.1: 1 broker, .* as in Kafka 4\.3$/,
} as const

const STALL_MS = 2_000

/** What one record that goes wrong on its way is in the counts, and in words. */
const PLANTED: readonly (readonly [Fault, Partial<CheckCounts>, readonly string[]])[] = [
  ['drop', { lost: 1 }, ['Lost: T, before offset 1: record 1 of producer 0 was acknowledged']],
  ['double', { duplicated: 1 }, ['Twice: T, offset 2: record 1 of producer 0 had been there']],
  ['reorder', { reordered: 1 }, ['Out of order: T, offset 2: record 1 of producer 0 comes after']],
  [
    'damage',
    { lost: 1, corrupt: 1 },
    ['Lost: T, before offset 1: record 0 of producer 0 was', 'Damaged: T, offset 0: the value'],
  ],
]

const PLANTED_WORKLOAD = {
  partitions: 1,
  lingerMs: 20,
  acks: 1,
  warmupSeconds: 0,
  steps: [{ rate: 1_000, seconds: 0.5 }],
}

/** All of them take some minutes. */
const names =
  tier.name === 'soak' ? workloadNames : ['steady', 'linkedin', 'keyed', 'fan-out', 'rebalance']

for (const [name, start, skip] of BROKERS) {
  describe(name, { skip }, () => {
    test('a broker that stands still for two seconds keeps waiting all that was due then', async () => {
      const broker = await start()
      try {
        const rate = 500
        const steps = [{ rate, seconds: 8 }]
        // With few on their way nothing is sent while the broker stands still: only the schedule knows what was due.
        const maxOutstanding = 50
        const workload = workloadOf(
          { partitions: 1, warmupSeconds: 2, steps, maxOutstanding },
          'stall',
        )
        let hasStopped = false
        const result = await runWorkload({
          bootstrap: broker.bootstrap,
          label: name,
          workload,
          workers: 1,
          usage: async () => null,
          live({ second }) {
            if (second < 5 || hasStopped) return
            hasStopped = true
            process.kill(broker.pid, 'SIGSTOP')
            setTimeout(() => process.kill(broker.pid, 'SIGCONT'), STALL_MS)
          },
        })
        assert.equal(hasStopped, true)
        const [phase] = result.phases
        assert.equal(phase?.sent, rate * 8)
        const { produce, endToEnd } = phase
        for (const latency of [produce!, endToEnd!]) {
          assert(latency.maxMs >= STALL_MS * 0.95, `at most ${latency.maxMs} ms`)
          // Of 4,000 records 1,000 were due in the stall: the tenth part of all waited for 1.2 seconds or more.
          assert(latency.p90Ms >= STALL_MS * 0.5, `p90 is ${latency.p90Ms} ms`)
        }
        const stalled = result.seconds.filter(({ produce }) => (produce?.maxMs ?? 0) >= 900)
        assert(stalled.length >= 2, 'it shows in the seconds in which they were due')
        assert.deepEqual(result.checks, NO_FAULTS)
      } finally {
        await broker.stop()
      }
    })

    test('a record that is dropped, doubled, out of order or damaged on its way is found', async () => {
      const proxy = await TamperingProxy.start()
      const bootstrap = `127.0.0.1:${proxy.port}`
      const broker = await start({
        overrides: { 'advertised.listeners': `PLAINTEXT://${bootstrap}` },
      })
      proxy.targetPort = broker.port
      const directory = temporaryDirectory('bench')
      const [file, report] = [join(directory, 'one.json'), join(directory, 'report.html')]
      writeFileSync(file, JSON.stringify(PLANTED_WORKLOAD))
      try {
        for (const [fault, counts, sentences] of PLANTED) {
          proxy.plant(fault)
          const args = ['bench', file, '--bootstrap', bootstrap, '--json', '--report', report]
          const { code, stdout, stderr } = await run(process.execPath, [OTTLA, ...args])
          assert.equal(proxy.hasTampered, true, fault)
          assert.equal(code, 1, stderr)
          assert.match(
            stderr,
            /^ottla: not every record arrived once, whole and in order: see above\.$/m,
          )
          const result = JSON.parse(stdout.toString()) as BenchResult
          assert.deepEqual(result.checks, { ...NO_FAULTS, ...counts }, fault)
          const [topic] = result.findings.map(finding => finding.topic)
          for (const text of [resultText(result), readFileSync(report, 'utf8')]) {
            for (const sentence of sentences) {
              const words = sentence.replace('T,', `topic ${topic}, partition 0,`)
              assert(text.includes(words), `${words}\nis not in\n${text}`)
            }
          }
        }
      } finally {
        proxy.close()
        await broker.stop()
      }
    })

    test('named workloads run, and every record arrives once and in order', async () => {
      const broker = await start()
      try {
        for (const workload of names) {
          const options = ['--seconds', '2', '--warmup', '1', '--json']
          const args = ['bench', workload, '--bootstrap', broker.bootstrap, ...options]
          const { code, stdout, stderr } = await run(process.execPath, [OTTLA, ...args], {
            timeoutMs: 180_000,
          })
          assert.equal(code, 0, `${workload}: ${stderr}`)
          const result = JSON.parse(stdout.toString()) as BenchResult
          assert.equal(result.rebalances.length > 0, workload === 'rebalance')
          assert.match(result.cluster, SOFTWARE[name])
          const { brokers, bench, others } = result.cores!
          assert(brokers > 0 && bench > 0 && others >= 0, workload)
          for (const { ackedPerSecond, endToEnd, brokerCpuPerMillion } of result.phases) {
            assert(ackedPerSecond > 0 && endToEnd !== null, workload)
            assert(brokerCpuPerMillion !== null && brokerCpuPerMillion > 0, workload)
          }
        }
      } finally {
        await broker.stop()
      }
    })
  })
}

test('Ctrl-C ends a run with a report of what was run', async () => {
  const broker = await startOttla()
  try {
    const report = join(temporaryDirectory('bench'), 'partial.html')
    const options = ['--seconds', '600', '--warmup', '1', '--json', '--report', report]
    const args = [OTTLA, 'bench', 'steady', '--bootstrap', broker.bootstrap, ...options]
    const child = adopt(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
    const chunks: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
    // Once the broker has taken records, it is under way.
    const topic = /^bench-steady-/
    for (let isRunning = false; !isRunning; ) {
      const list = [OTTLA, 'topic', 'describe', '--json', '--bootstrap', broker.bootstrap]
      const { stdout } = await run(process.execPath, list)
      const topics = JSON.parse(stdout.toString()) as {
        name: string
        partitions: { latest: number }[]
      }[]
      isRunning = topics.some(
        ({ name, partitions }) =>
          topic.test(name) && partitions.some(({ latest }) => latest > 20_000),
      )
    }
    child.kill('SIGINT')
    const [code] = await once(child, 'close')
    assert.equal(code, 0)
    const result = JSON.parse(Buffer.concat(chunks).toString()) as BenchResult
    assert.equal(result.isPartial, true)
    assert(result.phases[0]!.sent > 0 && result.phases[0]!.seconds < 600)
    assert.match(readFileSync(report, 'utf8'), /Interrupted: this is of the part that was run\./)
  } finally {
    await broker.stop()
  }
})

const CHROMIUM = process.env['CHROMIUM'] ?? 'chromium'
const hasBrowser = (await run(CHROMIUM, ['--version']).catch(() => ({ code: 1 }))).code === 0

test('a browser shows the report', { skip: hasBrowser ? false : 'no chromium' }, async () => {
  const broker = await startOttla()
  try {
    const directory = temporaryDirectory('bench')
    const [report, picture] = [join(directory, 'report.html'), join(directory, 'report.png')]
    const options = ['--seconds', '5', '--warmup', '1', '--report', report]
    const args = ['bench', 'steady', '--bootstrap', broker.bootstrap, ...options]
    const { code, stderr } = await run(process.execPath, [OTTLA, ...args])
    assert.equal(code, 0, stderr)
    const browser = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      `--user-data-dir=${directory}/profile`,
    ]
    const page = pathToFileURL(report).href
    const dom = await run(CHROMIUM, [...browser, '--dump-dom', page])
    assert.equal(dom.stdout.toString().match(/<svg /g)?.length, 7)
    const shot = ['--window-size=1400,1900', `--screenshot=${picture}`]
    assert.equal((await run(CHROMIUM, [...browser, ...shot, page])).code, 0)
    // A PNG of the asked size; an empty page would compress to a few kilobytes.
    const png = readFileSync(picture)
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [1400, 1900])
    assert(png.length > 50_000, `${png.length} bytes`)
  } finally {
    await broker.stop()
  }
})
