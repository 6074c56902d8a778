/**
 * What AlterConfigs and IncrementalAlterConfigs make of the settings that a topic, a broker or a group has: the new ones, or a
 * ProtocolError in the words that Kafka's tools show. Nothing is changed in place.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import {
  type TopicDefaults,
  topicSetting,
  validateTopicConfigs,
} from '../../segment-store/config.ts'
import {
  defaultText,
  InvalidSettingError,
  parseSetting,
  type Setting,
} from '../../segment-store/setting.ts'
import { type BrokerConfig, brokerSettings, checkDynamic, effectiveText } from '../config.ts'
import { isDynamic } from './dynamic.ts'
import { validateGroupConfigs } from './group-configs.ts'

/** Overrides as they are stored: text by name. */
export type Overrides = Readonly<Record<string, string>>

/** One change, under the names of the IncrementalAlterConfigs request. */
export interface ConfigOperation {
  readonly name: string
  /** 0 set, 1 delete, 2 append, 3 subtract. */
  readonly configOperation: number
  readonly value: string | null
}

const OPERATIONS = ['SET', 'DELETE', 'APPEND', 'SUBTRACT'] as const

/** What appending and subtracting must know about the settings of a resource. */
export interface ListSettings {
  /** Throws ProtocolError unless the setting is a list. */
  requireList(name: string, operation: 'APPEND' | 'SUBTRACT'): void
  /** The items to start from where the resource has none of its own. */
  inherited(name: string): string
}

/** The overrides after these operations; whether they are valid is another question. */
export function applyOperations(
  current: Overrides,
  operations: readonly ConfigOperation[],
  settings: ListSettings,
): Overrides {
  requireNoDuplicates(operations)
  requireValues(operations.filter(({ configOperation }) => configOperation !== 1))
  const next = new Map(Object.entries(current))
  for (const { name, configOperation, value } of operations) {
    const operation = OPERATIONS[configOperation]
    if (operation === undefined) {
      throw new ProtocolError(
        'INVALID_REQUEST',
        `Unknown operation ${configOperation} for configuration ${name}`,
      )
    }
    if (operation === 'DELETE') next.delete(name)
    else if (operation === 'SET') next.set(name, value ?? '')
    else {
      settings.requireList(name, operation)
      const items = split(next.get(name) ?? settings.inherited(name))
      const changed = split(value ?? '')
      const result =
        operation === 'APPEND'
          ? [...new Set([...items, ...changed])]
          : items.filter(item => !changed.includes(item))
      next.set(name, result.join(','))
    }
  }
  return Object.fromEntries(next)
}

/** A topic's overrides after an incremental change. */
export function alterTopicConfigs(
  config: BrokerConfig,
  current: Overrides,
  operations: readonly ConfigOperation[],
): Overrides {
  const { topicDefaults } = config
  const next = applyOperations(current, operations, topicLists(topicDefaults))
  validateTopicConfigs(next, topicDefaults)
  return next
}

/** A topic's overrides after AlterConfigs, which names all of them. */
export function replaceTopicConfigs(
  config: BrokerConfig,
  configs: readonly { readonly name: string; readonly value: string | null }[],
): Overrides {
  const next = replaced(configs)
  validateTopicConfigs(next, config.topicDefaults)
  return next
}

/** Whose settings are changed: this broker's, or those that all brokers start from. */
export type DynamicLayer = 'broker' | 'clusterDefault'

/** The dynamic settings of a layer after an incremental change. */
export function alterBrokerConfigs(
  config: BrokerConfig,
  layer: DynamicLayer,
  operations: readonly ConfigOperation[],
): Overrides {
  const next = applyOperations(config.dynamic[layer], operations, brokerLists(config))
  // Deleting what was never there is fine, whatever it is called.
  const touched = operations.filter(({ name }) => Object.hasOwn(next, name)).map(({ name }) => name)
  validateBrokerConfigs(config, layer, next, touched)
  return next
}

/** The dynamic settings of a layer after AlterConfigs, which names all of them. */
export function replaceBrokerConfigs(
  config: BrokerConfig,
  layer: DynamicLayer,
  configs: readonly { readonly name: string; readonly value: string | null }[],
): Overrides {
  const next = replaced(configs)
  validateBrokerConfigs(config, layer, next, Object.keys(next))
  return next
}

/** A group's settings after an incremental change. */
export function alterGroupConfigs(
  config: BrokerConfig,
  current: Overrides,
  operations: readonly ConfigOperation[],
): Overrides {
  const next = applyOperations(current, operations, groupLists)
  const touched = operations.filter(({ name }) => Object.hasOwn(next, name)).map(({ name }) => name)
  validateGroupConfigs(config, next, touched)
  return next
}

/** A group's settings after AlterConfigs, which names all of them. */
export function replaceGroupConfigs(
  config: BrokerConfig,
  configs: readonly { readonly name: string; readonly value: string | null }[],
): Overrides {
  const next = replaced(configs)
  validateGroupConfigs(config, next, Object.keys(next))
  return next
}

function validateBrokerConfigs(
  config: BrokerConfig,
  layer: DynamicLayer,
  next: Overrides,
  touched: readonly string[],
): void {
  const unknown = touched.find(name => !brokerSettings.has(name))
  if (unknown !== undefined) {
    throw new ProtocolError('INVALID_CONFIG', `Unknown config name: ${unknown}`)
  }
  const fixed = touched.filter(name => !isDynamic(name))
  if (fixed.length > 0) {
    throw new ProtocolError(
      'INVALID_REQUEST',
      `Cannot update these configs dynamically: [${fixed.join(', ')}]`,
    )
  }
  for (const name of touched) requireValid(name, brokerSettings.get(name)!, next[name]!)
  const before = new Set(checkDynamic(config, config.dynamic))
  const after = checkDynamic(config, { ...config.dynamic, [layer]: next })
  const problem = after.find(line => !before.has(line))
  if (problem !== undefined) throw new ProtocolError('INVALID_REQUEST', problem)
}

function requireValid(name: string, setting: Setting, text: string): void {
  try {
    parseSetting(name, setting, text)
  } catch (error) {
    if (!(error instanceof InvalidSettingError)) throw error
    throw new ProtocolError('INVALID_REQUEST', error.message)
  }
}

function notList(name: string, operation: string): ProtocolError {
  const why = `Can't ${operation} to key ${name} because its type is not LIST.`
  return new ProtocolError('INVALID_CONFIG', why)
}

/** None of the settings of a group is a list. */
const groupLists: ListSettings = {
  requireList(name, operation) {
    throw notList(name, operation)
  },
  inherited: () => '',
}

function topicLists(defaults: TopicDefaults): ListSettings {
  return {
    requireList(name, operation) {
      if (topicSetting(name)?.type !== 'LIST') throw notList(name, operation)
    },
    inherited(name) {
      const setting = topicSetting(name)
      const fromBroker = defaults[name as keyof TopicDefaults]
      return fromBroker ?? (setting === undefined ? '' : (defaultText(setting) ?? ''))
    },
  }
}

function brokerLists(config: BrokerConfig): ListSettings {
  return {
    requireList(name, operation) {
      const setting = brokerSettings.get(name)
      if (setting === undefined) {
        throw new ProtocolError('INVALID_CONFIG', `Unknown config name: ${name}`)
      }
      if (setting.type === 'LIST') return
      throw new ProtocolError(
        'INVALID_CONFIG',
        `Config value ${operation.toLowerCase()} is not allowed for config key: ${name}`,
      )
    },
    inherited: name => effectiveText(config, name) ?? '',
  }
}

function replaced(
  configs: readonly { readonly name: string; readonly value: string | null }[],
): Overrides {
  requireNoDuplicates(configs)
  requireValues(configs)
  return Object.fromEntries(configs.map(({ name, value }) => [name, value ?? '']))
}

function requireNoDuplicates(configs: readonly { readonly name: string }[]): void {
  if (new Set(configs.map(({ name }) => name)).size < configs.length) {
    throw new ProtocolError('INVALID_REQUEST', 'Error due to duplicate config keys')
  }
}

function requireValues(
  configs: readonly { readonly name: string; readonly value: string | null }[],
): void {
  const missing = configs.filter(({ value }) => value === null).map(({ name }) => name)
  if (missing.length > 0) {
    throw new ProtocolError(
      'INVALID_REQUEST',
      `Null value not supported for : ${missing.join(',')}`,
    )
  }
}

function split(text: string): string[] {
  return text
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
}
