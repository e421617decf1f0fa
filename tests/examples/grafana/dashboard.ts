// SPDX-License-Identifier: GPL-2.0
//
// What examples/grafana/toa.json must be, in the types that Grafana publishes: a dashboard whose panels are of
// these two kinds, each with the options of its kind and no other ones. tests/80-examples.t makes a JSON
// schema of it.

import type { Dashboard, FieldConfigSource, Panel } from '@grafana/schema';
import type {
  FieldConfig as TimeSeriesFields,
  Options as TimeSeriesOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';

type Kind<Type, Options, Fields> = Omit<Panel, 'type' | 'options' | 'fieldConfig'> & {
  type: Type;
  options: Partial<Options>;
  fieldConfig: FieldConfigSource<Fields>;
};

export type Toa = Omit<Dashboard, 'panels'> & {
  panels: Array<Kind<'timeseries', TimeSeriesOptions, TimeSeriesFields> | Kind<'stat', StatOptions, {}>>;
};
