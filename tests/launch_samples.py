"""Published launch files of training tools: their values in scripts of our own, each with its source."""

# NVIDIA/Megatron-LM, examples/gpt3/train_gpt3_175b_distributed.sh at 157006d, on the 1,024 GPUs of its README
GPT_175B = r"""
GPUS_PER_NODE=8
NUM_NODES=${NUM_NODES:-128}
WORLD=$(($GPUS_PER_NODE*$NUM_NODES))
DATA=$5 #<where>
LAUNCH=( --nproc_per_node $GPUS_PER_NODE --nnodes $NUM_NODES )
SHAPE=(
    --num-layers 96
    --hidden-size 12288
    --num-attention-heads 96
    --seq-length 2048
    --max-position-embeddings 2048
    --attention-backend auto # flash, fused, unfused or local
)
TRAIN=(
    --micro-batch-size 1
    --global-batch-size 1536
    --rampup-batch-size 16 16 5859375
    --train-iters 500000
    --fp16
)
SPLIT=(
	--tensor-model-parallel-size 8
	--pipeline-model-parallel-size 16
)
torchrun ${LAUNCH[@]} pretrain_gpt.py \
    ${SHAPE[@]} \
    ${TRAIN[@]} \
    ${SPLIT[@]} --data-path $DATA \
    --tokenizer-type GPT2BPETokenizer
"""

# NVIDIA/Megatron-LM, examples/llama/train_llama3_8b_h100_fp8.sh at 157006d
LLAMA_8B_FP8 = r"""
TP_SIZE=1
CP_SIZE=1
DTYPE="fp8"
RANKS=(--nproc_per_node 8 --nnodes 1)
MODEL_ARGS=(
    --num-layers 32 --hidden-size 4096 --ffn-hidden-size 14336 --num-attention-heads 32
    --group-query-attention --num-query-groups 8 --kv-channels 128 --seq-length 8192
    --position-embedding-type rope --swiglu --untie-embeddings-and-output-weights --disable-bias-linear
)
TRAINING_ARGS=(--micro-batch-size 1 --global-batch-size 128 --train-samples 1953125000 --bf16 --grad-reduce-in-bf16)
DTYPE_ARGS=()
if [[ "$DTYPE" == "fp8" ]]; then
    DTYPE_ARGS+=(
        "--fp8-format hybrid"
        "--fp8-param-gather"
    )
fi
SPLIT=(
    --tensor-model-parallel-size $TP_SIZE
    --context-parallel-size $CP_SIZE
    # --pipeline-model-parallel-size $PP_SIZE
    --sequence-parallel  # always
)
DDP_ARGS=(--use-distributed-optimizer --overlap-grad-reduce --overlap-param-gather)
TRAINING_ARGS+=("${DDP_ARGS[@]}")
DATA=()
if [[ -z "$TOKENIZER" ]]; then
    DATA+=("--mock-data" "--vocab-size 128256")
else
    DATA+=("--data-path $1" "--vocab-size 1")
fi
torchrun ${RANKS[@]} \
    "$SCRIPT" \
    ${MODEL_ARGS[@]} ${TRAINING_ARGS[@]} ${DTYPE_ARGS[@]} ${SPLIT[@]} ${DATA[@]}
"""

# NVIDIA/Megatron-LM, megatron/core/transformer/moe/README.md: Mixtral 8x7B on 128 GPUs, PP 4, EP 8, VPP by 8 layers
MIXTRAL = """
torchrun --nproc_per_node 8 --nnodes 16 pretrain_gpt.py \\
  --disable-bias-linear --seq-length 4096 --num-layers 32 --hidden-size 4096 --ffn-hidden-size 14336 \\
  --num-attention-heads 32 --position-embedding-type rope --swiglu --untie-embeddings-and-output-weights \\
  --group-query-attention --num-query-groups 8 --vocab-size 32000 \\
  --num-experts 8 --moe-router-topk 2 --moe-grouped-gemm --moe-token-dispatcher-type alltoall \\
  --micro-batch-size 1 --global-batch-size 256 --train-iters 500000 --bf16 \\
  --tensor-model-parallel-size 1 --pipeline-model-parallel-size 4 --num-layers-per-virtual-pipeline-stage 8 \\
  --expert-model-parallel-size 8 --use-distributed-optimizer --sequence-parallel \\
  --overlap-param-gather --overlap-grad-reduce
"""

# Megatron-MoE-ModelZoo, DeepSeek-V3 on 256 GPUs: PP 8, EP 32, VPP 4 from its layout, GBS 8192, FP8 in blocks
DEEPSEEK_ZOO = """
SHAPE="--num-layers 61 --hidden-size 7168 --ffn-hidden-size 18432 --num-attention-heads 128 \\
  --multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 --qk-head-dim 128 --qk-pos-emb-head-dim 64 \\
  --v-head-dim 128 --swiglu --untie-embeddings-and-output-weights --disable-bias-linear --vocab-size 129280 \\
  --num-experts 256 --moe-router-topk 8 --moe-ffn-hidden-size 2048 --moe-shared-expert-intermediate-size 2048 \\
  --moe-router-num-groups 8 --moe-router-group-topk 4 --position-embedding-type rope"
run="torchrun --nproc-per-node=8 --nnodes=32 pretrain_gpt.py $SHAPE --moe-layer-freq ([0]*3+[1]*58) \\
  --mtp-num-layers 1 --seq-length 4096 --bf16 --fp8-format e4m3 --fp8-recipe blockwise \\
  --micro-batch-size 1 --global-batch-size 8192 \\
  --pipeline-model-parallel-size 8 --expert-model-parallel-size 32 \\
  --expert-tensor-parallel-size 1 --use-distributed-optimizer --overlap-grad-reduce --overlap-param-gather \\
  --recompute-granularity selective --recompute-modules mla_up_proj moe mlp layernorm"
run="$run --pipeline-model-parallel-layout Et*2|(tt|)*22t|(tt|)*7mL"
srun bash -c "$run"
"""

# NVIDIA-NeMo/Megatron-Bridge, src/megatron/bridge/recipes/gpt/h100/gpt3_175b.py at b276dc7
BRIDGE_GPT_175B = """
import torch

def gpt3_175b_pretrain_config() -> ConfigContainer:
    cfg = _pretrain_common()
    cfg.model = GPTModelProvider(
        seq_length=2048,
        num_layers=96,
        hidden_size=12288,
        ffn_hidden_size=49152,
        num_attention_heads=96,
        tensor_model_parallel_size=4,
        pipeline_model_parallel_size=8,
        pipeline_dtype=torch.bfloat16,
        virtual_pipeline_model_parallel_size=6,
        context_parallel_size=1,
        sequence_parallel=True,
    )
    cfg.model.pipeline_model_parallel_layout = None
    cfg.dataset.seq_length = 2048
    cfg.train.train_iters = 1_168_251
    cfg.train.global_batch_size = 2048
    cfg.train.micro_batch_size = 2
    cfg.model.recompute_granularity = None
    cfg.mixed_precision = get_mixed_precision_config("bf16_mixed")
    cfg.mixed_precision.grad_reduce_in_fp32 = False
    cfg.comm_overlap = CommOverlapConfig(tp_comm_overlap=True, wgrad_deferral_limit=50)
    cfg.ddp.overlap_grad_reduce = True
    cfg.ddp.use_distributed_optimizer = True
    cfg.ddp.use_megatron_fsdp = False
    cfg.ddp.data_parallel_sharding_strategy = "no_shard"
    return cfg
"""

# NVIDIA-NeMo/Megatron-Bridge, src/megatron/bridge/recipes/llama/h100/llama3.py at 026d7fa
BRIDGE_LLAMA_8B = """
SEQUENCE_LENGTH_16K: int = 16384

def llama3_8b_pretrain_16k_config() -> ConfigContainer:
    cfg = _pretrain_common()
    cfg.model = AutoBridge.from_hf_pretrained("meta-llama/Meta-Llama-3-8B").to_megatron_provider(load_weights=False)
    cfg.model.tensor_model_parallel_size = 4
    cfg.model.pipeline_model_parallel_size = 2
    cfg.model.virtual_pipeline_model_parallel_size = None
    cfg.model.context_parallel_size = 2
    cfg.model.sequence_parallel = True
    cfg.model.seq_length = SEQUENCE_LENGTH_16K
    cfg.train.train_iters = 1168251
    cfg.train.global_batch_size = 512
    cfg.train.micro_batch_size = 1
    return cfg

def another_config() -> ConfigContainer:
    cfg = llama3_8b_pretrain_16k_config()
    cfg.model.context_parallel_size = 4
    return cfg
"""

# NVIDIA-NeMo/Megatron-Bridge, scripts/performance/configs/deepseek/deepseek_workload_base_configs.py at 0426418
BRIDGE_DEEPSEEK = """
BASE = WorkloadBaseConfig(expert_tensor_parallel_size=1)

DEEPSEEK_V3_H100_V1 = replace(
    BASE,
    num_gpus=1024,
    tensor_model_parallel_size=2,
    pipeline_model_parallel_size=8,
    virtual_pipeline_model_parallel_size=4,
    expert_model_parallel_size=64,
    global_batch_size=8192,
    recompute_modules=["mla_up_proj", "mlp"],
    moe_flex_dispatcher_backend="hybridep",
    moe_a2a_overlap=False,
    pp_layout="Et|(tt|)*30mL",
)
DEEPSEEK_V3_H100_V2 = replace(DEEPSEEK_V3_H100_V1, global_batch_size=16384)
"""

# NVIDIA-NeMo/Megatron-Bridge, scripts/performance/configs/llama31/llama31_405b_llm_pretrain.yaml at 0cfe9a4:
# Llama 3.1 405B on 1,024 H100
BRIDGE_YAML = """
ConfigContainer:
  model:
    tensor_model_parallel_size: 8
    pipeline_model_parallel_size: 8   # stages
    virtual_pipeline_model_parallel_size: 8
    context_parallel_size: 2
    sequence_parallel: true
    seq_length: 8192
  train:
    global_batch_size: 512
    micro_batch_size: 1
    train_iters: 50
  ddp:
    overlap_grad_reduce: true
trainer:
  num_nodes: 128
  devices: 8
"""

# pytorch/torchtitan, torchtitan/models/llama3/train_configs/llama3_405b.toml at 01424cb
TITAN_TOML_405B = """
# a preset for 128 H100 GPUs
[job]
dump_folder = "./outputs"

[model]
name = "llama3"
flavor = "405B"
tokenizer_path = "./assets/tokenizer/original/tokenizer.model"
converters = "float8"

[training]
batch_size = 2
seq_len = 8192
steps = 3000

[parallelism]
data_parallel_replicate_degree = 1
data_parallel_shard_degree = -1
tensor_parallel_degree = 8  # 8-way TP
enable_async_tensor_parallel = true
pipeline_parallel_degree = 1
context_parallel_degree = 1

[activation_checkpoint]
mode = 'full'
"""

# pytorch/torchtitan, torchtitan/models/llama3/config_registry.py at 00d1c0e and deepseek_v3's at 0014ac2
TITAN_PYTHON = """
from torchtitan.config import ActivationCheckpointConfig, ParallelismConfig, TrainingConfig

def llama3_8b() -> Trainer.Config:
    return Trainer.Config(
        hf_assets_path="./assets/hf/Llama-3.1-8B",
        model_spec=model_registry("8B"),
        training=TrainingConfig(local_batch_size=1, seq_len=8192, steps=1000),
        activation_checkpoint=ActivationCheckpointConfig(mode="selective"),
    )

def deepseek_v3_671b() -> Trainer.Config:
    return Trainer.Config(
        hf_assets_path="./assets/hf/DeepSeek-V3.1-Base",
        model_spec=model_registry(
            "671B",
            converters=[Float8LinearConverter.Config(filter_fqns=["output"]), Float8GroupedExpertsConverter.Config()],
        ),
        training=TrainingConfig(local_batch_size=4, seq_len=4096, steps=10000),
        parallelism=ParallelismConfig(pipeline_parallel_schedule="Interleaved1F1B", expert_parallel_degree=2),
        activation_checkpoint=ActivationCheckpointConfig(mode="selective"),
    )

def llama3_8b_hsdp() -> Trainer.Config:
    config = llama3_8b()
    config.parallelism.data_parallel_shard_degree = 8
    config.parallelism.data_parallel_replicate_degree = 4
    config.training.global_batch_size = 64
    config.activation_checkpoint = FullAC.Config()
    return config
"""

# deepspeedai/DeepSpeedExamples, claude_tutorials/model_configs/llama/llama_70b_multi_node.json at d6b8036
DEEPSPEED_LLAMA_70B = {
    "train_batch_size": 256,
    "train_micro_batch_size_per_gpu": 1,
    "gradient_accumulation_steps": 8,
    "bf16": {"enabled": True},
    "zero_optimization": {"stage": 3, "overlap_comm": True, "reduce_bucket_size": 500000000},
    "communication_data_type": "fp16",
    "steps_per_print": 50,
}

# Ascend/MindSpeed-LLM, examples/mcore/deepseek3/pretrain_deepseek3_671b_4k_A3_ptd.sh at 015ce04
MINDSPEED_DEEPSEEK_V3 = r"""
export PYTORCH_NPU_ALLOC_CONF="expandable_segments:True"
NPUS_PER_NODE=16
NNODES=32
TOKENIZER="your tokenizer path"
TP=2
PP=8
CP_TYPE='ulysses_cp_algo'
RANKS="
    --nproc_per_node $NPUS_PER_NODE \
    --nnodes $NNODES
"
MLA_ARGS="
    --multi-head-latent-attention --qk-rope-head-dim 64 --qk-nope-head-dim 128 \
    --q-lora-rank 1536 --kv-lora-rank 512 --v-head-dim 128 \
"
MOE_ARGS="
    --moe-grouped-gemm --moe-token-dispatcher-type alltoall_seq --first-k-dense-replace 3 --moe-layer-freq 1 \
    --n-shared-experts 1 --num-experts 256 --moe-router-topk 8 --moe-intermediate-size 2048 --n-group 8 --topk-group 4 \
    --moe-tp-extend-ep \
"
MEM_ARGS="
    --swap-optimizer --recompute-granularity full --recompute-method block --recompute-num-layers 8 \
"
GPT_ARGS="
    --noop-layers 61,62,63 --use-distributed-optimizer --mtp-num-layers 1 \
    --moe-fb-overlap --schedules-method dualpipev \
    --tensor-model-parallel-size ${TP} --pipeline-model-parallel-size ${PP} --expert-model-parallel-size 16 \
    --sequence-parallel --context-parallel-size 1 --context-parallel-algo  ${CP_TYPE} --num-layers 64 \
    --hidden-size 7168 --ffn-hidden-size 18432 --num-attention-heads 128 --seq-length 4096 --micro-batch-size 1 \
    --global-batch-size 3840 --train-iters 2000 --untie-embeddings-and-output-weights --disable-bias-linear \
    --position-embedding-type rope --swiglu --vocab-size 129280 --bf16 \
"
python -m torch.distributed.launch $RANKS pretrain_gpt.py \
    $GPT_ARGS $MLA_ARGS $MEM_ARGS $MOE_ARGS \
    --distributed-backend nccl | tee logs/pretrain.log
"""

# Ascend/MindSpeed-LLM, examples/mcore/deepseek2/pretrain_deepseek2_236b_8k_ptd.sh at 015ce04
MINDSPEED_DEEPSEEK_V2 = """
NPUS_PER_NODE=8
NNODES=20
torchrun --nproc_per_node $NPUS_PER_NODE --nnodes $NNODES pretrain_gpt.py \\
    --multi-head-latent-attention --qk-rope-head-dim 64 --qk-nope-head-dim 128 --q-lora-rank 1536 --kv-lora-rank 512 \\
    --v-head-dim 128 --first-k-dense-replace 1 --moe-layer-freq 1 --n-shared-experts 2 --num-experts 160 \\
    --moe-router-topk 6 --moe-intermediate-size 1536 --topk-group 3 \\
    --num-layers-per-virtual-pipeline-stage 2 --recompute-granularity full --recompute-method uniform \\
    --recompute-num-layers 1 --use-distributed-optimizer --tensor-model-parallel-size 1 \\
    --pipeline-model-parallel-size 10 --expert-model-parallel-size 8 --sequence-parallel --context-parallel-size 1 \\
    --num-layers 60 --hidden-size 5120 --ffn-hidden-size 12288 --num-attention-heads 128 --seq-length 8192 \\
    --micro-batch-size 1 --global-batch-size 640 --train-iters 2000 --untie-embeddings-and-output-weights \\
    --disable-bias-linear --position-embedding-type rope --swiglu --vocab-size 102400 --bf16
"""

LINE = "torchrun --nproc_per_node 8 --nnodes {nodes} pretrain_gpt.py \\\n" + " \\\n".join(
    (
        "--num-layers 32 --hidden-size 4096",
        "--num-attention-heads 32 --seq-length 4096 --vocab-size 32000",
        "--micro-batch-size {micro} --global-batch-size {batch}",
        "--tensor-model-parallel-size {tp}",
        "--pipeline-model-parallel-size {pp} {more}\n",
    )
)


def line(nodes: int = 1, micro: int = 1, batch: int = 64, tp: int = 2, pp: int = 2, more: str = "--bf16") -> str:
    return LINE.format(nodes=nodes, micro=micro, batch=batch, tp=tp, pp=pp, more=more)
