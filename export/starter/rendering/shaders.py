"""GLSL of the training renderer: skin with wrapped diffuse light, soft shadows, and motion written beside colour."""

SHADOW_VERTEX = """
#version 330
in vec3 point;
uniform mat4 to_light;
void main() { gl_Position = to_light * vec4(point, 1); }
"""

SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

VERTEX = """
#version 330
in vec3 point; in vec3 normal; in vec2 uv; in vec3 source_point; in float shade;
uniform mat4 to_clip, to_light;
out vec3 world, facing; out vec2 texel; out vec4 clip, source_clip, lit; out float light_reach;
void main() {
    world = point; facing = normal; texel = uv; light_reach = shade;
    clip = to_clip * vec4(point, 1);
    source_clip = to_clip * vec4(source_point, 1);
    lit = to_light * vec4(point, 1);
    gl_Position = clip;
}
"""

# The second target takes (flow to the source in clip units, part number, depth), only where the surface is opaque.
FRAGMENT = """
#version 330
in vec3 world, facing; in vec2 texel; in vec4 clip, source_clip, lit; in float light_reach;
uniform sampler2D picture, shadow_map;
uniform vec3 eye, tint, key_direction, key, sky, ground, rim_direction, rim;
uniform float specular, gloss, subsurface, alpha_from, alpha_to, inside_mouth, textured, part, cut;
layout(location=0) out vec4 colour;
layout(location=1) out vec4 motion;

float shadow() {
    vec3 at = lit.xyz / lit.w * .5 + .5;
    float open = 0.;
    for (int i = -1; i <= 1; i++) for (int j = -1; j <= 1; j++)
        open += at.z - .004 > texture(shadow_map, at.xy + vec2(i, j) * .0025).r ? 0. : 1.;
    return open / 9.;
}

void main() {
    if (cut > .5 && light_reach < 0.) discard;
    vec4 base = textured > .5 ? texture(picture, texel) : vec4(1);
    if (base.a < alpha_from || base.a > alpha_to) discard;
    vec3 n = normalize(facing), view = normalize(eye - world);
    if (dot(n, view) < 0.) n = -n;
    vec3 albedo = pow(base.rgb, vec3(2.2)) * tint;
    float reach = cut > .5 ? mix(.72, 1., smoothstep(.0, .09, light_reach)) : light_reach;
    float open = shadow();
    vec3 wrap = vec3(.45, .18, .12) * subsurface;
    vec3 diffuse = max((vec3(dot(n, key_direction)) + wrap) / (1. + wrap), 0.);
    vec3 soft = mix(vec3(open), pow(vec3(open + .02), vec3(.55, .9, 1.)), subsurface);
    vec3 ambient = mix(ground, sky, n.y * .5 + .5);
    vec3 half_way = normalize(key_direction + view);
    float shine = pow(max(dot(n, half_way), 0.), gloss) * specular * (gloss + 8.) / 25.;
    float fresnel = .04 + .96 * pow(1. - max(dot(n, view), 0.), 5.);
    vec3 c = albedo * (diffuse * key * soft + ambient + max(dot(n, rim_direction), 0.) * rim)
           + key * shine * open * max(dot(n, key_direction), 0.) + ambient * fresnel * specular * 2.;
    if (inside_mouth > .5) c = albedo * (key * .55 + ambient * .7) * (.55 + .45 * max(n.z, 0.)) + key * shine * .35;
    c *= reach;
    c = c / (1. + c * .18);
    colour = vec4(pow(c, vec3(1. / 2.2)), base.a);
    motion = vec4(source_clip.xy / source_clip.w - clip.xy / clip.w, part, clip.w);
}
"""
