/** A pass in a thread gives the same as one without, and one that is given up leaves nothing behind. */
import assert from 'node:assert/strict'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { cleanInThread } from '../../broker/cleaner-thread.ts'
import { encodeBatch } from '../../protocol/records.ts'
import {
  appendNow,
  config,
  disks,
  openLog,
  readAll,
  type TestLog,
} from '../segment-store/store-harness.ts'

const settings = config({
  cleanupPolicy: { compact: true, delete: false },
  segmentBytes: 2_000_000,
  fileDeleteDelayMs: 0,
})

/** Ten megabytes: enough to be worth a thread. */
async function filled(directory: string, disk: TestLog['log']['disk']): Promise<TestLog> {
  const opened = await openLog(disk, directory, { config: settings })
  for (let i = 0; i < 20; i++) {
    const records = Array.from({ length: 50 }, (_, n) => ({
      timestamp: 1,
      key: Buffer.from(`k${(i * 7 + n) % 60}`),
      value: Buffer.alloc(10_000, i),
    }))
    appendNow(opened, await encodeBatch(records))
  }
  return opened
}

test('a pass in a thread leaves what a pass here leaves', async () => {
  const [, { disk, root, remove }] = disks() as [unknown, ReturnType<typeof disks>[number]]
  try {
    const here = await filled(`${root}/a-0`, disk)
    const there = await filled(`${root}/b-0`, disk)
    const priority = getPriority()
    const one = await here.log.compact(2)
    const other = await there.log.compact(2, { engine: cleanInThread })
    assert.ok(one !== null)
    assert.deepEqual(other, one)
    assert.equal(getPriority(), priority, 'only the thread is nice')
    assert.deepEqual(await readAll(there.log, 0, 1_000_000), await readAll(here.log, 0, 1_000_000))
    await here.log.close()
    await there.log.close()
  } finally {
    remove()
  }
})

test('a pass that is given up ends its thread and leaves no file', async () => {
  const [, { disk, root, remove }] = disks() as [unknown, ReturnType<typeof disks>[number]]
  try {
    const { log } = await filled(`${root}/a-0`, disk)
    let calls = 0
    const pace = () => {
      if (++calls === 5) throw new Error('given up')
    }
    await assert.rejects(log.compact(2, { engine: cleanInThread, pace }), /given up/)
    const names = (await disk.list(`${root}/a-0`)).map(({ name }) => name)
    assert.ok(!names.some(name => name.includes('cleaned')))
    await log.close()
  } finally {
    remove()
  }
})
