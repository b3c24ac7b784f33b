/** Why nodes stay float that could be quantized: reasons that reports show and that effective configurations keep. */

export const FLOAT_BY_CONFIGURATION = 'left in float by configuration';

export const FLOAT_FOR_ACCURACY = 'left in float to meet the accuracy target';

export const FLOAT_WITHOUT_DATA = 'its range is not known without calibration data: computed in float32';
