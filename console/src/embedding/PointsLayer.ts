import { type Accessor, type DefaultProps, Layer, type LayerDataSource, picking, project32 } from "@deck.gl/core";
import { Model } from "@luma.gl/engine";

interface Own {
  data: LayerDataSource<unknown>;
  /** In pixels of the page. */
  diameter: number;
  getPosition?: Accessor<unknown, [number, number]>;
  getColor?: Accessor<unknown, [number, number, number, number]>;
}

const BLOCK = `\
layout(std140) uniform dotsUniforms {
  float diameter;
} dots;
`;

const UNIFORMS = { name: "dots", vs: BLOCK, uniformTypes: { diameter: "f32" } } as const;

const VERTICES = `\
#version 300 es
#define SHADER_NAME dots-vertex-shader
in vec2 positions;
in vec4 colors;
out vec4 vColor;
out float vSize;
void main(void) {
  geometry.worldPosition = vec3(positions, 0.0);
  geometry.pickingColor = picking_getPickingColorFromIndex(float(gl_VertexID));
  gl_Position = project_position_to_clipspace(geometry.worldPosition, vec3(0.0), vec3(0.0), geometry.position);
  vSize = dots.diameter * project.devicePixelRatio;
  gl_PointSize = vSize;
  vColor = vec4(colors.rgb, colors.a * layer.opacity);
  DECKGL_FILTER_COLOR(vColor, geometry);
}
`;

const FRAGMENTS = `\
#version 300 es
#define SHADER_NAME dots-fragment-shader
precision highp float;
in vec4 vColor;
in float vSize;
out vec4 fragColor;
void main(void) {
  float fromEdge = (0.5 - length(gl_PointCoord - 0.5)) * vSize;
  if (fromEdge <= 0.0) {
    discard;
  }
  fragColor = vec4(vColor.rgb, vColor.a * clamp(fromEdge + 0.25, 0.0, 1.0));
  DECKGL_FILTER_COLOR(fragColor, geometry);
}
`;

const DEFAULTS: DefaultProps<Own> = {
  diameter: { type: "number", min: 0, value: 3 },
  getPosition: { type: "accessor", value: [0, 0] },
  getColor: { type: "accessor", value: [0, 0, 0, 255] },
};

/**
 * Round points, one vertex each. deck.gl's ScatterplotLayer draws each circle as an instance of a square, for which a machine without a
 * graphics card (SwiftShader) takes 16 times as long: 50,000 cells then take 0.8 s of its processor a frame, and here 0.05 s.
 */
export class PointsLayer extends Layer<Required<Own>> {
  static override layerName = "PointsLayer";
  static override defaultProps = DEFAULTS;

  declare state: { model?: Model };

  override getShaders() {
    return super.getShaders({ vs: VERTICES, fs: FRAGMENTS, modules: [project32, picking, UNIFORMS] });
  }

  override initializeState() {
    this.getAttributeManager()?.add({
      positions: { size: 2, accessor: "getPosition" },
      colors: { size: 4, type: "unorm8", accessor: "getColor" },
    });
    this.setState({
      model: new Model(this.context.device, {
        ...this.getShaders(),
        id: this.props.id,
        bufferLayout: this.getAttributeManager()?.getBufferLayouts() ?? [],
        topology: "point-list",
        isInstanced: false,
      }),
    });
  }

  override draw() {
    const { model } = this.state;
    if (!model) return;
    model.shaderInputs.setProps({ dots: { diameter: this.props.diameter } });
    model.setVertexCount(this.getNumInstances());
    model.draw(this.context.renderPass);
  }
}
