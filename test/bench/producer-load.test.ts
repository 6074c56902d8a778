/** Producers of a process, without the processes around them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Job } from '../../bench/messages.ts'
import { monotonicUs } from '../../bench/monotonic.ts'
import { ProducerLoad } from '../../bench/producer-load.ts'
import { countBelow } from '../../bench/ranges.ts'
import { phasesOf } from '../../bench/schedule.ts'
import { Tally } from '../../bench/tally.ts'
import { workloadOf } from '../../bench/workload.ts'
import { startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'

/** 200 records in two steps for a broker that is gone. */
async function withoutBroker(maxOutstanding: number) {
  const broker = await startBroker()
  const steps = [
    { rate: 1_000, seconds: 0.1 },
    { rate: 500, seconds: 0.2 },
  ]
  const workload = workloadOf({ partitions: 2, warmupSeconds: 0, steps, maxOutstanding }, 'test')
  const job: Job = {
    role: 'producer',
    bootstrap: broker.bootstrap,
    workload,
    phases: phasesOf(0, workload.steps),
    topics: ['t'],
    groups: [],
    runId: 1,
    members: [0],
    memberCount: 1,
  }
  const client = new Client({ bootstrap: broker.bootstrap, logger: null })
  const admin = client.admin()
  await admin.createTopics([{ name: 't', partitions: 2 }])
  admin.close()
  const tally = new Tally(job.phases)
  const load = new ProducerLoad(job, client, tally)
  await broker.stop()
  await load.run(Math.ceil(monotonicUs()), 300, 0)
  const { phases, errors } = tally.result()
  const unknown = load
    .streams()
    .reduce((sum, stream) => sum + countBelow(stream.failed.ranges, stream.sent), 0)
  const counts = phases.map(({ sent, acked, failed }) => [sent, acked, failed])
  return { counts, errors, unknown }
}

test('what a broker that is gone has not answered is refused, not acknowledged and lost', async () => {
  assert.deepEqual(await withoutBroker(1_000), {
    counts: [
      [100, 0, 100],
      [100, 0, 100],
    ],
    errors: [['no answer within 0.3 s after the end', 200]],
    unknown: 200,
  })
})

test('what could not leave is not waited for for ever', async () => {
  assert.deepEqual(await withoutBroker(80), {
    counts: [
      [80, 0, 100],
      [0, 0, 100],
    ],
    errors: [
      ['not sent within 0.3 s after the end', 120],
      ['no answer within 0.3 s after the end', 80],
    ],
    unknown: 80,
  })
})
