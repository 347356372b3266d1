"""Tutorial: Stable-Baselines3's PPO learns to design a network and its accelerator together.

Every episode is one design: the observation says how much each objective counts (here: always the
same), the action chooses a value per knob, the reward is minus the weighted objectives. The first
run trains the supernet that tells accuracies, for a minute or two; `pip install 'dovetail[rl]'`.

    python experiments/tutorial_ppo.py --designs 100000
"""

from __future__ import annotations

import argparse

import numpy as np
from stable_baselines3 import PPO

from dovetail.envs.registry import make_problem
from dovetail.envs.sb3_vec_env import DesignVecEnv


def main(designs: int, batch: int, **fields: object) -> tuple[float, float]:
    """Trains PPO; returns the mean reward of 256 designs before and after."""
    problem = make_problem({"problem": "codesign", **fields})
    weights = np.full(len(problem.objectives), 1 / len(problem.objectives))
    env = DesignVecEnv(problem, num_envs=batch, preference=weights)
    agent = PPO("MlpPolicy", env, n_steps=1, batch_size=batch, gamma=0.0, learning_rate=0.003,
                ent_coef=0.003, seed=0, device="cpu")  # fmt: skip

    def mean_reward() -> float:
        chosen, _ = agent.predict(np.tile(weights, (256, 1)).astype(np.float32))
        return float(problem.evaluate(chosen).scalar(weights).mean())

    before = mean_reward()
    agent.learn(total_timesteps=designs)
    after = mean_reward()
    design, _ = agent.predict(weights.astype(np.float32), deterministic=True)
    metrics = problem.evaluate(design[None]).metrics
    print(f"mean reward {before:.3f} before, {after:.3f} after {designs:,} designs")
    print(", ".join(f"{name} = {value}" for name, value in problem.space.decode(design).items()))
    print(", ".join(f"{name} {values[0]:.4g}" for name, values in metrics.items()))
    return before, after


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--designs", type=int, default=100_000, help="designs to learn from")
    parser.add_argument("--batch", type=int, default=1000, help="designs per update")
    main(**vars(parser.parse_args()))
