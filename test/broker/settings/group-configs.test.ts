/** Settings that a group has of its own, when the broker's bounds are not any more what they were when it got them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../../../broker/config.ts'
import { alterGroupConfigs } from '../../../broker/settings/alter.ts'
import { groupConfigsInForce, timingOf } from '../../../broker/settings/group-configs.ts'
import { SimulatedDisk } from '../../sim/disk.ts'
import { Medium } from '../../sim/medium.ts'
import { startHost } from '../host.ts'

const SESSION = 'consumer.session.timeout.ms'
const HEARTBEAT = 'consumer.heartbeat.interval.ms'
const INTERVAL = 'consumer.assignment.interval.ms'

const problemsOf = (overrides: Record<string, string>, ...settings: string[]) =>
  groupConfigsInForce(loadConfig({ overrides: settings }), overrides).problems

test('a stored setting outside of the bounds counts as the bound, as in Kafka 4.3', () => {
  const timing = (overrides: Record<string, string>, ...settings: string[]) =>
    timingOf(loadConfig({ overrides: settings }), overrides)
  const stored = { [SESSION]: '50000', [HEARTBEAT]: '6000', [INTERVAL]: '2000' }
  const within = { sessionTimeoutMs: 50_000, heartbeatIntervalMs: 6000, assignmentIntervalMs: 2000 }
  assert.deepEqual(timing(stored), within)
  const [minSession, maxSession] = ['min', 'max'].map(
    it => `group.consumer.${it}.session.timeout.ms`,
  )
  for (const bound of ['50000', '46000']) {
    const { sessionTimeoutMs } = timing(stored, `${maxSession}=${bound}`)
    assert.equal(sessionTimeoutMs, Number(bound))
  }
  const raised = [`${minSession}=55000`, 'group.consumer.session.timeout.ms=56000']
  assert.equal(timing(stored, ...raised).sessionTimeoutMs, 55_000)
  assert.equal(
    timing(stored, 'group.consumer.max.heartbeat.interval.ms=5500').heartbeatIntervalMs,
    5500,
  )
  assert.equal(
    timing(stored, 'group.consumer.max.assignment.interval.ms=1500').assignmentIntervalMs,
    1500,
  )
})

test('what does not count any more is said: setting, value, bound, and what to do', () => {
  assert.deepEqual(problemsOf({ [SESSION]: '45000' }), [])
  const [line, ...others] = problemsOf(
    { [SESSION]: '50000' },
    'group.consumer.max.session.timeout.ms=46000',
  )
  assert.deepEqual(others, [])
  assert.equal(
    line,
    `${SESSION}: 50000 is more than group.consumer.max.session.timeout.ms, which is 46000: counts as 46000`,
  )
  const raised = [
    'group.streams.min.session.timeout.ms=46000',
    'group.streams.session.timeout.ms=50000',
  ]
  assert.deepEqual(problemsOf({ 'streams.session.timeout.ms': '45500' }, ...raised), [
    'streams.session.timeout.ms: 45500 is less than group.streams.min.session.timeout.ms, which is 46000: counts as 46000',
  ])
})

test('what is no value (any more) is left out: the one of the broker counts', () => {
  const stored = { [SESSION]: 'soon', 'consumer.nope': '1' }
  assert.equal(timingOf(loadConfig(), stored).sessionTimeoutMs, 45_000)
  assert.deepEqual(problemsOf(stored), [
    `Invalid value soon for configuration ${SESSION}: Not a number of type INT: left out`,
    'consumer.nope: there is no such setting of groups: left out',
  ])
})

test('a session that would be no longer than its heartbeats: both are those of the broker', () => {
  const settings = [
    'group.consumer.min.session.timeout.ms=1000',
    'group.consumer.session.timeout.ms=12000',
  ]
  const { sessionTimeoutMs, heartbeatIntervalMs } = timingOf(loadConfig({ overrides: settings }), {
    [HEARTBEAT]: '15000',
  })
  assert.deepEqual([sessionTimeoutMs, heartbeatIntervalMs], [12_000, 5000])
  assert.deepEqual(problemsOf({ [HEARTBEAT]: '15000' }, ...settings), [
    `${SESSION}: 12000 is not more than ${HEARTBEAT}, which is 15000: those of the broker count`,
  ])
})

test('one setting is changed or removed while another one is outside of the bounds', () => {
  const config = loadConfig({
    overrides: [
      'group.consumer.max.session.timeout.ms=46000',
      'group.consumer.max.heartbeat.interval.ms=5500',
    ],
  })
  const stored = { [SESSION]: '50000', [HEARTBEAT]: '6000' }
  const remove = { name: SESSION, configOperation: 1, value: null }
  assert.deepEqual(alterGroupConfigs(config, stored, [remove]), { [HEARTBEAT]: '6000' })
  const set = (name: string, value: string) => ({ name, configOperation: 0, value })
  assert.deepEqual(alterGroupConfigs(config, stored, [set(SESSION, '46000')]), {
    [SESSION]: '46000',
    [HEARTBEAT]: '6000',
  })
  assert.throws(
    () => alterGroupConfigs(config, stored, [set(SESSION, '50000')]),
    /must be less than or equal to/,
    'also where it is what is stored',
  )
})

test('a start with narrower bounds says for each group what counts now; once, and members get that', async () => {
  const disk = new SimulatedDisk(new Medium(), { random: () => 0 })
  const first = await startHost({ disk })
  const configs = [{ name: SESSION, configOperation: 0, value: '50000' }]
  const ask = { resources: [{ resourceType: 32, resourceName: 'g', configs }], validateOnly: false }
  await first.connect().call('IncrementalAlterConfigs', 1, ask)
  assert.equal(first.broker.image.groupConfigs.get('g')![SESSION], '50000')
  await first.stop()
  const overrides = ['group.consumer.max.session.timeout.ms=46000']
  const second = await startHost({ disk: disk.reopened('process'), overrides })
  const said = () =>
    second.logger.lines.filter(({ event }) => event === 'group setting not in force')
  const { groupId, problem, remedy } = said()[0]!.fields as Record<string, string>
  assert.deepEqual([said().length, groupId], [1, 'g'])
  assert.match(
    problem!,
    /50000 is more than group\.consumer\.max\.session\.timeout\.ms, which is 46000/,
  )
  assert.match(remedy!, /kafka-configs.*--delete-config/)
  const others = [{ name: INTERVAL, configOperation: 0, value: '2000' }]
  await second.connect().call('IncrementalAlterConfigs', 1, {
    resources: [{ resourceType: 32, resourceName: 'another', configs: others }],
    validateOnly: false,
  })
  assert.equal(second.broker.image.groupConfigs.get('another')![INTERVAL], '2000')
  assert.equal(said().length, 1)
  await second.stop()
})
