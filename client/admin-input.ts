/** What is given to an admin's calls, looked at before anything is asked. Everything here throws an OptionError. */
import type { ConfigChange, ConfigResource, NewTopic, PartitionsGoal, TopicRef } from './admin.ts'
import { CALL, checkCall, checkList, checkPartitions, checkText, checkWhole } from './arguments.ts'
import type { AclFilter } from './broker-admin.ts'
import type { CallOptions } from './cluster.ts'
import type { RecordsToDelete } from './delete-records.ts'
import type { ElectionType } from './elect-leaders.ts'
import { OptionError } from './errors.ts'
import type { OffsetQuery } from './list-offsets.ts'
import { checkOptions, type Names, told } from './option-names.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface ChangeOptions extends CallOptions {
  /** Only check whether it would be accepted. */
  readonly validateOnly?: boolean | undefined
}

const CHANGE: Names<ChangeOptions> = { ...CALL, validateOnly: true }
const DESCRIBE_CONFIGS = { ...CALL, documentation: true } as const
const NEW_TOPIC: Names<NewTopic> = {
  name: true,
  partitions: true,
  replicationFactor: true,
  configs: true,
  assignments: true,
}
const GOAL: Names<PartitionsGoal> = { topic: true, count: true, assignments: true }
const CONFIG_CHANGE: Names<ConfigChange> = { type: true, name: true, set: true, unset: true }
const TYPES: readonly string[] = ['topic', 'broker', 'group']
const ACL_FILTER: Names<AclFilter> = {
  resourceType: true,
  resourceName: true,
  patternType: true,
  principal: true,
  host: true,
  operation: true,
  permissionType: true,
}

export function checkNewTopics(topics: readonly NewTopic[], options: ChangeOptions): void {
  checkCall(options, CHANGE, 'createTopics')
  checkList(topics, 'topics', '[{ name, partitions }]')
  for (const topic of topics) {
    checkOptions(topic, NEW_TOPIC, 'a topic to create')
    const { name, partitions, replicationFactor, configs, assignments } = topic
    checkText(name, 'the name of a topic to create')
    const of = `of topic '${name}'`
    // -1 is the broker's default, as on the wire.
    if (partitions != null) checkWhole(partitions, `partitions ${of}`, -1)
    if (replicationFactor != null) checkWhole(replicationFactor, `replicationFactor ${of}`, -1)
    if (configs != null) checkSettings(configs, `configs ${of}`)
    if (assignments != null) checkAssignments(assignments, of)
  }
}

export function checkGoals(goals: readonly PartitionsGoal[], options: ChangeOptions): void {
  checkCall(options, CHANGE, 'createPartitions')
  checkList(goals, 'goals', '[{ topic, count }]')
  for (const goal of goals) {
    checkOptions(goal, GOAL, 'a goal of createPartitions')
    checkText(goal.topic, 'topic in goals')
    checkWhole(goal.count, `count of topic '${goal.topic}'`)
    if (goal.assignments != null) checkAssignments(goal.assignments, `of topic '${goal.topic}'`)
  }
}

export function checkRefs(refs: readonly TopicRef[], options: CallOptions): void {
  checkCall(options, CALL, 'deleteTopics')
  checkList(refs, 'topics', 'their names as a list')
  for (const ref of refs) {
    const text = typeof ref === 'object' && ref !== null ? ref.topicId : ref
    checkText(text, 'a topic to delete', 'give its name, or { topicId }')
  }
}

export function checkResources(
  resources: readonly ConfigResource[],
  options: CallOptions & { readonly documentation?: boolean },
): void {
  checkCall(options, DESCRIBE_CONFIGS, 'describeConfigs')
  checkList(resources, 'resources', "[{ type: 'topic', name }]")
  for (const resource of resources) checkResource(resource)
}

export function checkChanges(changes: readonly ConfigChange[], options: ChangeOptions): void {
  checkCall(options, CHANGE, 'incrementalAlterConfigs')
  checkList(changes, 'changes', "[{ type: 'topic', name, set }]")
  for (const change of changes) {
    checkResource(change)
    checkOptions(change, CONFIG_CHANGE, 'a change of settings')
    const of = `of ${change.type} '${change.name}'`
    if (change.set != null) checkSettings(change.set, `set ${of}`)
    for (const name of listed(change.unset, `unset ${of}`, 'names of settings as a list')) {
      checkText(name, `a name in unset ${of}`)
    }
  }
}

export function checkQueries(queries: readonly OffsetQuery[], options: CallOptions): void {
  checkCall(options, CALL, 'listOffsets')
  checkPartitions(queries, 'queries', ({ at }, where) => {
    if (at === 'earliest' || at === 'latest' || Number.isSafeInteger(at)) return
    const ways = "'earliest', 'latest', or milliseconds since 1970"
    throw new OptionError(`at of ${where} is ${told(at)}: give ${ways}.`)
  })
}

export function checkEnds(places: readonly RecordsToDelete[], options: CallOptions): void {
  checkCall(options, CALL, 'deleteRecords')
  checkPartitions(places, 'places', ({ before }, where) => {
    if (before === 'latest' || (Number.isSafeInteger(before) && before >= 0)) return
    throw new OptionError(`before of ${where} is ${told(before)}: give an offset, or 'latest'.`)
  })
}

export function checkElection(
  type: ElectionType,
  partitions: readonly TopicPartition[],
  options: CallOptions,
): void {
  checkCall(options, CALL, 'electLeaders')
  if (type !== 'preferred' && type !== 'unclean') {
    throw new OptionError(`type is ${told(type)}: give 'preferred' or 'unclean'.`)
  }
  checkPartitions(partitions, 'partitions')
}

/** The optional node ids of brokers. */
export function checkNodeIds(nodeIds: readonly number[] | undefined): void {
  for (const id of listed(nodeIds, 'nodeIds', 'node ids as a list')) checkWhole(id, 'a node id')
}

export function checkAclFilter(filter: AclFilter): void {
  checkOptions(filter, ACL_FILTER, 'the filter of describeAcls')
}

function checkResource(given: ConfigResource): void {
  const { type, name } = (given ?? {}) as Partial<ConfigResource>
  if (!TYPES.includes(type ?? '')) {
    const what = type === undefined ? `a resource is ${told(given)}` : `type is ${told(type)}`
    const ways = "{ type: 'topic', name }; types are topic, broker and group"
    throw new OptionError(`${what}: give ${ways}.`)
  }
  if (typeof name === 'string' && (name !== '' || type === 'broker')) return
  throw new OptionError(
    `the name of a ${type} is ${name === '' ? 'empty' : told(name)}: give text.`,
  )
}

/** Settings are text on the wire, numbers too. */
function checkSettings(given: Readonly<Record<string, string>>, what: string): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionError(`${what} is ${told(given)}: give { 'name.of.setting': 'value' }.`)
  }
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === 'string') continue
    const advice = `give text, such as '${typeof value === 'number' ? value : 'value'}'`
    throw new OptionError(`${name} in ${what} is ${told(value)}: ${advice}.`)
  }
}

function checkAssignments(given: readonly (readonly number[])[], of: string): void {
  const what = `assignments ${of}`
  const example = '[[1, 2], [2, 3]], the brokers of each partition'
  checkList(given, what, example)
  for (const brokers of given) {
    checkList(brokers, `one of ${what}`, example)
    for (const id of brokers) checkWhole(id, `a broker in ${what}`)
  }
}

function listed<T>(given: readonly T[] | undefined, what: string, example: string): readonly T[] {
  if (given != null) checkList(given, what, example)
  return given ?? []
}
