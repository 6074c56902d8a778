/** The background scrubber: as slowly as it is told, every place reported once, off by default. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../broker/logger.ts'
import { Scrubber } from '../../broker/scrubber.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { appendNow, batch, openLog } from '../segment-store/store-harness.ts'

const directory = '/data/orders-0'

/** A clock whose timers are run by hand; it remembers what was waited for. */
class StepClock {
  readonly waits: number[] = []
  private due: (() => void)[] = []
  nowMs = () => 0
  monotonicMs = () => 0

  timer(delayMs: number, callback: () => void) {
    this.waits.push(delayMs)
    this.due.push(callback)
    return { cancel: () => void (this.due = []) }
  }

  /** Lets everything that is waited for happen, and the work between, until the next wait. */
  async step(): Promise<void> {
    for (const callback of this.due.splice(0)) callback()
    for (let i = 0; i < 200 && this.due.length === 0; i++) await new Promise(setImmediate)
  }

  get isIdle(): boolean {
    return this.due.length === 0
  }
}

async function scrubbed(bytesPerSecond: number) {
  const disk = new MemoryDisk()
  const opened = await openLog(disk, directory)
  for (let i = 0; i < 50; i++) appendNow(opened, batch(10, { valueBytes: 1000 }))
  const clock = new StepClock()
  const lines: { event: string; fields: unknown }[] = []
  const logger = {
    ...silentLogger,
    error: (event: string, fields: unknown) => void lines.push({ event, fields }),
  }
  const scrubber = new Scrubber({
    clock,
    logger,
    bytesPerSecond,
    logs: () => [{ disk, directory }],
  })
  return { disk, clock, lines, scrubber, opened }
}

test('it reads no faster than it is told, and rests after a round', async () => {
  const { clock, scrubber, opened } = await scrubbed(10_000)
  scrubber.start()
  assert.deepEqual(clock.waits, [60_000])
  await clock.step()
  const size = opened.log.sizeBytes
  assert.equal(scrubber.bytes, size)
  assert.equal(clock.waits[1], (size / 10_000) * 1000)
  await clock.step()
  assert.deepEqual([scrubber.rounds, scrubber.problems, clock.waits[2]], [1, 0, 60_000])
  scrubber.stop()
})

test('a damaged place is logged once with file and position, however often it is met', async () => {
  const { disk, clock, lines, scrubber } = await scrubbed(1e9)
  const file = await disk.open(`${directory}/${'0'.repeat(20)}.log`)
  file.writeAt(100, Buffer.from([0]))
  scrubber.start()
  while (scrubber.rounds < 3) await clock.step()
  scrubber.stop()
  assert.equal(scrubber.problems, 1)
  assert.deepEqual(
    lines.map(({ event, fields }) => [event, (fields as { position: number }).position]),
    [['damage found', 0]],
  )
})

test('at rate 0 nothing is ever read, and a stop ends the waiting', async () => {
  const off = await scrubbed(0)
  off.scrubber.start()
  assert(off.clock.isIdle)
  off.scrubber.stop()
  const on = await scrubbed(1)
  on.scrubber.start()
  on.scrubber.stop()
  assert(on.clock.isIdle)
  const midway = await scrubbed(1)
  midway.scrubber.start()
  await midway.clock.step()
  midway.scrubber.stop()
  await midway.clock.step()
  assert.deepEqual([midway.scrubber.rounds, midway.lines], [0, []])
})
