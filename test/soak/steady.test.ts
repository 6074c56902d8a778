/**
 * Steady load for minutes: an idempotent producer writes numbered records at a fixed rate while a reader follows the log.
 * The reader misses nothing, the producer never fails, and the broker's memory does not grow with time.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { adopt, missing, pause, startOttla, subjectIsKafka } from '../e2e/harness.ts'
import { tier } from '../tiers.ts'

const TOPIC = 'steady'
const RECORDS_A_SEND = 100
/** Milliseconds between sends: 2,000 records and 1 MB a second. */
const INTERVAL_MS = 50
const PADDING = 'x'.repeat(500)
const MAX_RSS_MIB = 300

function rssMib(pid: number): number {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

/** Follows the partition and checks that the numbers come without a gap; tells how many have come. */
function follow(bootstrap: string): { count: () => number; end(): Promise<void> } {
  const where = ['-b', bootstrap, '-t', TOPIC, '-p', '0', '-o', 'beginning']
  const child = spawn('kcat', ['-C', '-q', '-u', '-f', '%s\n', ...where])
  adopt(child)
  let next = 0
  let wrong: string | null = null
  createInterface({ input: child.stdout }).on('line', line => {
    const number = Number.parseInt(line, 10)
    if (number !== next) wrong ??= `read ${number} where ${next} was due`
    next++
  })
  const exited = once(child, 'exit')
  return {
    count() {
      assert.equal(wrong, null)
      return next
    },
    async end() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

test(`${tier.minutes} minutes of steady load: nothing missed, no growth`, {
  skip: missing('kcat'),
}, async t => {
  const server = await startOttla()
  const kafka = new Kafka({ brokers: [server.bootstrap], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const rss: number[] = []
  const endMs = performance.now() + tier.minutes * 60_000
  let sent = 0
  let reader: ReturnType<typeof follow> | null = null
  try {
    for (let dueMs = performance.now(); dueMs < endMs; dueMs += INTERVAL_MS) {
      const messages = Array.from({ length: RECORDS_A_SEND }, () => ({
        partition: 0,
        value: `${sent++} ${PADDING}`,
      }))
      await producer.send({ topic: TOPIC, acks: -1, messages })
      reader ??= follow(server.bootstrap)
      if ((sent / RECORDS_A_SEND) % 20 === 0) rss.push(rssMib(server.pid))
      await pause(Math.max(0, dueMs + INTERVAL_MS - performance.now()))
    }
    for (let waited = 0; (reader?.count() ?? 0) < sent && waited < 10_000; waited += 50)
      await pause(50)
    assert.equal(reader?.count(), sent, 'the reader has not come to the end')
  } finally {
    await reader?.end()
    await producer.disconnect()
    await server.stop()
  }
  const middle = median(rss.slice(rss.length / 3, (2 * rss.length) / 3))
  const late = median(rss.slice((2 * rss.length) / 3))
  t.diagnostic(
    `${sent} records; RSS ${middle.toFixed(0)} MiB midway, ${late.toFixed(0)} MiB at the end`,
  )
  if (subjectIsKafka) return
  assert.ok(Math.max(...rss) < MAX_RSS_MIB, `RSS reached ${Math.max(...rss)} MiB`)
  assert.ok(late < middle * 1.2 + 16, 'memory grows with time')
})
