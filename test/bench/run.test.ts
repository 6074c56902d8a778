/** Whole runs against a broker in this process: what was sent is what is counted, and one wrong record is found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_FAULTS } from '../../bench/checks.ts'
import { runWorkload } from '../../bench/run.ts'
import { type Workload, workloadOf } from '../../bench/workload.ts'
import { startBroker } from '../../broker/embedded.ts'
import { type Fault, TamperingProxy } from './tampering-proxy.ts'

const usage = async () => null
/** Groups that do not let a test wait. */
const PROMPT = {
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.min.heartbeat.interval.ms': '100',
  'group.consumer.heartbeat.interval.ms': '100',
}

test('every record that is due is sent, acknowledged and read, by each group', async () => {
  const broker = await startBroker({ config: PROMPT })
  try {
    const workload = workloadOf(
      {
        topics: 2,
        partitions: 3,
        recordBytes: { min: 22, max: 500 },
        keys: 10,
        compression: 'gzip',
        idempotent: true,
        producers: 2,
        groups: 2,
        consumersPerGroup: 2,
        warmupSeconds: 0,
        steps: [
          { rate: 400, seconds: 0.5 },
          { rate: 200, seconds: 0.5 },
        ],
      },
      'test',
    )
    const { bootstrap } = broker
    const result = await runWorkload({ bootstrap, label: 'it', workload, workers: 2, usage })
    assert.deepEqual(result.checks, NO_FAULTS)
    assert.deepEqual([result.isPartial, result.errors, result.processes], [false, [], 4])
    const counts = result.phases.map(({ sent, produce, endToEnd }) => [
      sent,
      produce?.count,
      endToEnd?.count,
    ])
    assert.deepEqual(counts, [
      [200, 200, 400],
      [100, 100, 200],
    ])
  } finally {
    await broker.stop()
  }
})

test('readers of each protocol, in several processes, share what there is', async () => {
  const broker = await startBroker({ config: PROMPT })
  const runOf = async (groupProtocol: Workload['groupProtocol']) => {
    const workload = workloadOf(
      {
        name: groupProtocol,
        partitions: 4,
        groups: 2,
        consumersPerGroup: 2,
        groupProtocol,
        warmupSeconds: 0,
        steps: [{ rate: 400, seconds: 0.5 }],
      },
      'test',
    )
    const { bootstrap } = broker
    const result = await runWorkload({ bootstrap, label: 'it', workload, workers: 2, usage })
    const { checks, errors, rebalances, phases } = result
    assert.deepEqual([checks, errors, rebalances], [NO_FAULTS, [], []], groupProtocol)
    assert.equal(phases[0]?.endToEnd?.count, 400, groupProtocol)
  }
  try {
    await Promise.all((['classic', 'consumer', 'none'] as const).map(runOf))
  } finally {
    await broker.stop()
  }
})

test('a consumer that leaves its group and comes back is a rebalance, and nothing is lost', async () => {
  const broker = await startBroker({ config: PROMPT })
  try {
    const workload = workloadOf(
      {
        groups: 2,
        restarts: [{ atSeconds: 0.2, seconds: 0.2 }],
        warmupSeconds: 0,
        steps: [{ rate: 400, seconds: 1 }],
      },
      'test',
    )
    const { bootstrap } = broker
    const result = await runWorkload({ bootstrap, label: 'it', workload, workers: 1, usage })
    assert.deepEqual(result.checks, NO_FAULTS)
    const groups = result.rebalances.map(({ group }) => group)
    assert.deepEqual(groups.toSorted(), [0, 1])
  } finally {
    await broker.stop()
  }
})

async function withFault(fault: Fault) {
  const proxy = await TamperingProxy.start()
  proxy.plant(fault)
  const config = { ...PROMPT, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` }
  const broker = await startBroker({ config })
  proxy.targetPort = broker.port
  try {
    const workload = workloadOf(
      {
        partitions: 1,
        lingerMs: 20,
        acks: 1,
        warmupSeconds: 0,
        steps: [{ rate: 1_000, seconds: 0.5 }],
      },
      'test',
    )
    const bootstrap = `127.0.0.1:${proxy.port}`
    const result = await runWorkload({ bootstrap, label: fault, workload, workers: 1, usage })
    assert.equal(proxy.hasTampered, true)
    const findings = result.findings.map(({ kind, partition, offset, sequence, records }) => {
      assert.equal(partition, 0)
      return [kind, offset, sequence, records]
    })
    return { checks: result.checks, findings }
  } finally {
    proxy.close()
    await broker.stop()
  }
}

test('one record that a proxy drops, doubles, reorders or damages is counted, and found', async () => {
  const faults = ['drop', 'double', 'reorder', 'damage'] as const
  const found = await Promise.all(faults.map(withFault))
  assert.deepEqual(Object.fromEntries(faults.map((fault, i) => [fault, found[i]])), {
    drop: { checks: { ...NO_FAULTS, lost: 1 }, findings: [['lost', 1, 1, 1]] },
    double: { checks: { ...NO_FAULTS, duplicated: 1 }, findings: [['duplicated', 2, 1, 1]] },
    reorder: { checks: { ...NO_FAULTS, reordered: 1 }, findings: [['reordered', 2, 1, 1]] },
    // What cannot be read is not known to have come.
    damage: {
      checks: { ...NO_FAULTS, lost: 1, corrupt: 1 },
      findings: [
        ['lost', 1, 0, 1],
        ['corrupt', 0, null, 1],
      ],
    },
  })
})

test('what is interrupted is a partial result of what was sent until then', async () => {
  const broker = await startBroker({ config: PROMPT })
  try {
    const workload = workloadOf({ warmupSeconds: 0, steps: [{ rate: 200, seconds: 600 }] }, 'test')
    const controller = new AbortController()
    const result = await runWorkload({
      bootstrap: broker.bootstrap,
      label: 'it',
      workload,
      workers: 1,
      usage,
      interrupted: controller.signal,
      live: () => controller.abort(),
    })
    assert.equal(result.isPartial, true)
    assert.deepEqual(result.checks, NO_FAULTS)
    const [{ sent, produce, seconds } = assert.fail()] = result.phases
    assert(sent > 0 && seconds < 600)
    assert.equal(produce?.count, sent)
  } finally {
    await broker.stop()
  }
})
