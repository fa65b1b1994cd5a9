//! The decoder's operations on a GPU, by kernels of our own.
//!
//! `kernels.cu` is compiled when a model is loaded, by NVRTC, for the GPU that is there and the size of the model's
//! heads. Neither building nor starting the program needs CUDA: the driver and NVRTC are looked for when a GPU is
//! asked for.
//!
//! Weights, keys and values are bfloat16, as are the factors of every product; sums, and states between operations,
//! are float32. A row of a result depends on its own inputs alone: not on the rows beside it, nor on their count. A
//! step sends one array up, [`Step`], and waits once, for its logits.
//!
//! | what | file |
//! |---|---|
//! | the kernels | `kernels.cu` |
//! | what they are given | `parameters.rs` |
//! | weights in tiles, and rows times weights | `matrix.rs` |
//! | what a step sends up | `step.rs` |
//! | attention over blocks of keys and values | `attention.rs` |
//! | the other operations | `states.rs` |
//!
//! # Safety
//! A kernel is given addresses. Those of a launch come from slices that the caller holds, and from a [`Step`], whose
//! blocks, tokens and positions were checked against the cache and the model when it was made; sizes come from the
//! same slices. All work of a model is on one stream: memory that is given back is used again only after the kernels
//! that were launched before.

use std::sync::Arc;

use candle_core::{Error, Result};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr, LaunchConfig,
    PushKernelArg, ValidAsZeroBits, sys,
};
use cudarc::nvrtc;

use parameters::Scan;

mod attention;
mod matrix;
mod parameters;
mod states;
mod step;

pub(crate) use attention::{Attention, Cache};
pub(crate) use matrix::Matrix;
pub(crate) use states::{Norm, States};
pub(crate) use step::{Limits, Step, Table};

const SOURCE: &str = include_str!("kernels.cu");

/// A GPU, with the kernels for one model.
pub(crate) struct Gpu {
    stream: Arc<CudaStream>,
    functions: Functions,
    /// Elements of a head, padded.
    head: usize,
    /// Multiprocessors.
    processors: usize,
}

/// What is read to measure the speed of memory: more than any cache holds.
pub(crate) struct Measure {
    memory: CudaSlice<u8>,
    output: CudaSlice<u32>,
}

impl Measure {
    /// Bytes that are read each time.
    pub(crate) const BYTES: usize = 2 << 30;
}

macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        /// The kernels.
        struct Functions {
            $($name: CudaFunction,)*
        }

        impl Functions {
            fn of(module: &Arc<CudaModule>) -> std::result::Result<Self, cudarc::driver::DriverError> {
                Ok(Self { $($name: module.load_function(stringify!($name))?,)* })
            }
        }
    };
}

functions! {
    activate, add, attend, choose, embed, finish, join_segments, likeliest, mix, multiply_8, multiply_16, multiply_32,
    multiply_64, multiply_many, narrow_rows, normalize, prepare, route, scan, turn,
}

/// Columns of matrices, and elements of heads, come in multiples of this.
const CHUNK: usize = 32;

/// The compute capability that has products of bfloat16.
const OLDEST: i32 = 8;

/// The largest head that the kernels have registers for.
const LARGEST_HEAD: usize = 256;

impl Gpu {
    /// The first GPU that the system shows, ready for a model with heads of this size.
    ///
    /// # Errors
    /// In words, if there is none, or what it needs is missing.
    pub(crate) fn open(head_size: usize) -> std::result::Result<Self, String> {
        if head_size == 0 || head_size > LARGEST_HEAD {
            return Err(format!("heads of {head_size} elements: on a GPU up to {LARGEST_HEAD} are possible"));
        }
        // SAFETY: both look for a library and run what it does when it is loaded.
        let (has_driver, has_compiler) =
            unsafe { (cudarc::driver::sys::is_culib_present(), nvrtc::sys::is_culib_present()) };
        if !has_driver {
            return Err("no GPU: NVIDIA's driver (libcuda) is not installed".to_owned());
        }
        if !has_compiler {
            return Err(
                "NVRTC (libnvrtc), which compiles for the GPU, is not found: install a CUDA toolkit, or run \
                        `benches/cuda/setup.sh`, and name the folder in LD_LIBRARY_PATH"
                    .to_owned(),
            );
        }
        let fault = |err: cudarc::driver::DriverError| format!("no GPU can be used: {err}");
        let context = CudaContext::new(0).map_err(fault)?;
        // SAFETY: all is on one stream, so nothing has to wait for another.
        unsafe { context.disable_event_tracking() };
        let head = head_size.next_multiple_of(CHUNK);
        let capability = context.compute_capability().map_err(fault)?;
        if capability.0 < OLDEST {
            let (major, minor) = capability;
            return Err(format!("a GPU of compute capability {major}.{minor}, where {OLDEST}.0 is needed"));
        }
        let image = compile(head, capability)?;
        let module = context.load_module(nvrtc::Ptx::from_binary(image)).map_err(fault)?;
        let functions = Functions::of(&module).map_err(fault)?;
        let processors = context
            .attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(fault)?;
        keep_memory(&context).map_err(fault)?;
        Ok(Self {
            stream: context.new_stream().map_err(fault)?,
            functions,
            head,
            processors: usize::try_from(processors).unwrap_or(1),
        })
    }

    /// The GPU's name.
    pub(crate) fn name(&self) -> String {
        self.stream.context().name().unwrap_or_else(|_| "a GPU".to_owned())
    }

    /// An array to measure the speed of its memory by.
    pub(crate) fn measure(&self) -> Result<Measure> {
        Ok(Measure { memory: self.zeros(Measure::BYTES)?, output: self.array(1)? })
    }

    /// Reads an array so many times, and waits for that.
    pub(crate) fn scan(&self, measure: &Measure, times: usize) -> Result<()> {
        let parameters = Scan {
            memory: self.address(&measure.memory),
            output: self.address(&measure.output),
            count: (Measure::BYTES / 16) as u64,
        };
        for _ in 0..times {
            self.launch(&self.functions.scan, [8 * self.processors, 1, 1], 512, &parameters)?;
        }
        self.stream.synchronize().map_err(Error::wrap)
    }

    /// Memory that holds anything. No memory at all cannot be had.
    fn array<T: DeviceRepr>(&self, length: usize) -> Result<CudaSlice<T>> {
        // SAFETY: every kernel writes all of its output before another reads it.
        unsafe { self.stream.alloc(length.max(1)) }.map_err(Error::wrap)
    }

    /// Memory that holds zeros.
    fn zeros<T: DeviceRepr + ValidAsZeroBits>(&self, length: usize) -> Result<CudaSlice<T>> {
        self.stream.alloc_zeros(length).map_err(Error::wrap)
    }

    /// A copy on the GPU.
    fn upload<T: DeviceRepr>(&self, numbers: &[T]) -> Result<CudaSlice<T>> {
        self.stream.clone_htod(numbers).map_err(Error::wrap)
    }

    /// Brings down what is on the GPU, once all that was launched is done.
    fn download<T: DeviceRepr + Clone + Default>(
        &self,
        array: &CudaSlice<T>,
        numbers: &mut Vec<T>,
    ) -> Result<()> {
        numbers.resize(array.len(), T::default());
        self.stream.memcpy_dtoh(array, &mut numbers[..]).map_err(Error::wrap)?;
        self.stream.synchronize().map_err(Error::wrap)
    }

    /// Where an array begins.
    fn address<T>(&self, array: &CudaSlice<T>) -> u64 {
        array.device_ptr(&self.stream).0
    }

    /// Where an array begins; 0 for none.
    fn address_or_null<T>(&self, array: Option<&CudaSlice<T>>) -> u64 {
        array.map_or(0, |it| self.address(it))
    }

    /// Launches a kernel with blocks of so many threads; a grid without blocks is no work.
    fn launch<P: DeviceRepr>(
        &self,
        function: &CudaFunction,
        grid: [usize; 3],
        threads: usize,
        parameters: &P,
    ) -> Result<()> {
        if grid.contains(&0) {
            return Ok(());
        }
        let [x, y, z] = grid.map(size);
        let config =
            LaunchConfig { grid_dim: (x, y, z), block_dim: (size(threads), 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the kernel's only argument is this struct; see above for the addresses in it.
        unsafe { self.stream.launch_builder(function).arg(parameters).launch(config) }
            .map_err(Error::wrap)?;
        Ok(())
    }
}

/// Counts of tokens, rows and columns are far below 2^32, which the checks of a checkpoint and the scheduler see to;
/// what is not is refused by the GPU.
fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Compiles the kernels to machine code: the driver would refuse the intermediate code of a compiler newer than itself.
fn compile(head: usize, (major, minor): (i32, i32)) -> std::result::Result<Vec<u8>, String> {
    let source = std::ffi::CString::new(SOURCE).expect("the kernels' source has no zeros");
    let fault =
        |what: &str, err: nvrtc::result::NvrtcError| format!("NVRTC cannot {what} the kernels: {err:?}");
    let program = nvrtc::result::create_program(&source, None).map_err(|err| fault("read", err))?;
    let options = [format!("--gpu-architecture=sm_{major}{minor}"), format!("--define-macro=HEAD={head}")];
    // SAFETY: the program is alive until it is destroyed at the end, and the image is as long as NVRTC says.
    unsafe {
        let compiled = nvrtc::result::compile_program(program, &options).map_err(|err| {
            let log = nvrtc::result::get_program_log(program).unwrap_or_default();
            let log: Vec<u8> = log.into_iter().map(i8::cast_unsigned).filter(|it| *it != 0).collect();
            format!("{}\n{}", fault("compile", err), String::from_utf8_lossy(&log))
        });
        let image = compiled.and_then(|()| {
            let mut length = 0;
            nvrtc::sys::nvrtcGetCUBINSize(program, &raw mut length)
                .result()
                .map_err(|err| fault("measure", err))?;
            let mut image = vec![0_u8; length];
            nvrtc::sys::nvrtcGetCUBIN(program, image.as_mut_ptr().cast())
                .result()
                .map_err(|err| fault("give", err))?;
            Ok(image)
        });
        nvrtc::result::destroy_program(program).map_err(|err| fault("let go of", err))?;
        image
    }
}

/// Keeps memory that was given back for what is asked for next: a step's arrays come and go by the hundred.
fn keep_memory(context: &Arc<CudaContext>) -> std::result::Result<(), cudarc::driver::DriverError> {
    let mut pool = std::ptr::null_mut();
    let mut most = u64::MAX;
    // SAFETY: the pool is the device's own, and the attribute is a 64-bit number.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result()?;
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut most).cast()).result()
    }
}
